// Classic Delta checkpoints: the state of a log as one Parquet file, one action a row.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <string>
#include <vector>

#include "mvs/warm/delta_actions.h"

namespace quarry::mvs {

Result<std::shared_ptr<arrow::Buffer>> encode_checkpoint(const std::vector<Action>& actions);
// Also reads what other programs wrote. kCorruption names `key`.
Result<std::vector<Action>> decode_checkpoint(std::shared_ptr<arrow::Buffer> bytes, const std::string& key);

}  // namespace quarry::mvs

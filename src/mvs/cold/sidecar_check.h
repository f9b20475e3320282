// Looking for damage in what lies beside a data file for the cold tier.
#pragma once

#include "mvs/snapshot_builder.h"
#include "mvs/table_check.h"

namespace quarry::mvs {

// Appends what is wrong with the sidecars of `data_file`, if it has any. All faults are derived. Errors are the store's.
Status check_sidecars(const TableFiles& files, const std::string& data_file, std::vector<FileFault>& faults);

}  // namespace quarry::mvs

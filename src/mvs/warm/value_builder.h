// JSON values to columns of one kind.
#pragma once

#include <arrow/api.h>

#include "mvs/warm/table_schema.h"

namespace quarry::mvs {

// Growing a builder fails only for want of memory or past 2 GiB of text in one column; both end what is being built.
struct ArrowFailure {
  arrow::Status status;
};

// Throws ArrowFailure.
void check(const arrow::Status& status);

// Appends to a builder of the kind's type: null where the column can't hold the value. `column` is of a payload field. Answers true unless
// the column gives the value back as it was written: then the JSON column must hold it too. Throws ArrowFailure.
bool append_value(arrow::ArrayBuilder& out, const Column& column, const json::value& value);

}  // namespace quarry::mvs

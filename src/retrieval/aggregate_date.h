// Units of date_trunc and date_part. Private to aggregate.
#pragma once

#include "base/result.h"

namespace quarry::retrieval {

// The start of the unit that `value`, a timestamp, lies in; null for anything else. Units: year, month, week, day, hour, minute, second.
json::value truncate_date(const json::value& value, std::string_view unit);
// Also dayOfWeek and dayOfYear.
json::value date_part(const json::value& value, std::string_view part);

}  // namespace quarry::retrieval

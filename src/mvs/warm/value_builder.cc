#include "mvs/warm/value_builder.h"

#include <cmath>

#include "base/clock.h"

namespace quarry::mvs {
namespace {

std::optional<double> exact_double(const json::value& value) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) {
    const int64_t i = value.get_int64();
    const auto d = double(i);
    if (d < 9223372036854775808.0 && int64_t(d) == i) return d;
  }
  return std::nullopt;
}

// Each answers as append_value() does.
bool put_string(arrow::StringBuilder& out, const json::value& value) {
  if (!value.is_string()) return check(out.AppendNull()), true;
  check(out.Append(std::string_view(value.get_string())));
  return false;
}

bool put_int64(arrow::Int64Builder& out, const json::value& value, std::string_view narrow) {
  if (value.is_int64() && !fits_narrow(narrow, value.get_int64())) return check(out.AppendNull()), true;
  if (value.is_int64()) return check(out.Append(value.get_int64())), false;
  if (narrow.empty() && value.is_uint64() && value.get_uint64() <= uint64_t(INT64_MAX))
    return check(out.Append(int64_t(value.get_uint64()))), false;
  return check(out.AppendNull()), true;
}

// A float column holds the nearest float32, and the JSON column the number where that is another.
bool put_double(arrow::DoubleBuilder& out, const json::value& value, bool integral_means_integer, std::string_view narrow) {
  const auto d = exact_double(value);
  const double held = d && !narrow.empty() ? double(float(*d)) : d.value_or(0);
  if (!d || !std::isfinite(held)) return check(out.AppendNull()), true;
  check(out.Append(held));
  if (held != *d) return true;
  return value.is_double() == (integral_means_integer && is_json_integer(*d));
}

bool put_boolean(arrow::BooleanBuilder& out, const json::value& value) {
  if (!value.is_bool()) return check(out.AppendNull()), true;
  check(out.Append(value.get_bool()));
  return false;
}

bool put_timestamp(arrow::TimestampBuilder& out, const json::value& value) {
  if (!value.is_string()) return check(out.AppendNull()), true;
  const auto parsed = parse_timestamp(value.get_string());
  if (!parsed.ok()) return check(out.AppendNull()), true;
  check(out.Append(*parsed));
  return format_timestamp(*parsed) != std::string_view(value.get_string());
}

bool put_date(arrow::Date32Builder& out, const json::value& value) {
  if (value.is_string() && value.get_string().size() == 10) {
    const auto parsed = parse_timestamp(value.get_string());
    if (parsed.ok() && *parsed % kUsPerDay == 0 && format_timestamp(*parsed).starts_with(std::string_view(value.get_string())))
      return check(out.Append(int32_t(*parsed / kUsPerDay))), false;
  }
  return check(out.AppendNull()), true;
}

template <class T>
T& as(arrow::ArrayBuilder& builder) {
  return static_cast<T&>(builder);
}

}  // namespace

void check(const arrow::Status& status) {
  if (!status.ok()) throw ArrowFailure{status};
}

bool append_value(arrow::ArrayBuilder& out, const Column& column, const json::value& value) {
  switch (column.kind) {
    case ColumnKind::kString: return put_string(as<arrow::StringBuilder>(out), value);
    case ColumnKind::kInt64: return put_int64(as<arrow::Int64Builder>(out), value, column.narrow);
    case ColumnKind::kNumber: return put_double(as<arrow::DoubleBuilder>(out), value, true, column.narrow);
    case ColumnKind::kFloat: return put_double(as<arrow::DoubleBuilder>(out), value, false, column.narrow);
    case ColumnKind::kBoolean: return put_boolean(as<arrow::BooleanBuilder>(out), value);
    case ColumnKind::kTimestamp: return put_timestamp(as<arrow::TimestampBuilder>(out), value);
    case ColumnKind::kDate: return put_date(as<arrow::Date32Builder>(out), value);
    case ColumnKind::kInt32:
    case ColumnKind::kVector:
    case ColumnKind::kSparse:
    case ColumnKind::kMulti: break;
  }
  QUARRY_CHECK(false && "not a payload column");
}

}  // namespace quarry::mvs

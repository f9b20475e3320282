#include "mvs/warm/late_columns.h"

#include <arrow/api.h>

#include <string>

#include "mvs/warm/json_text.h"
#include "mvs/warm/value_builder.h"

namespace quarry::mvs {
namespace {

struct Late {
  size_t at;  // in the schema
  const Column& column;
  std::unique_ptr<arrow::ArrayBuilder> builder;
};

std::vector<Late> columns_not_in(const RowBlock& block, const TableSchema& schema) {
  std::vector<Late> out;
  for (size_t i = 0; i < schema.columns().size(); ++i) {
    const Column& column = schema.columns()[i];
    if (column.system || is_vector(column.kind) || block.batch()->GetColumnByName(column.name) != nullptr) continue;
    out.push_back({i, column, arrow::MakeBuilder(arrow_type(column.kind)).ValueOrDie()});
  }
  return out;
}

std::shared_ptr<arrow::Array> finished(arrow::ArrayBuilder& builder) {
  std::shared_ptr<arrow::Array> out;
  check(builder.Finish(&out));
  return out;
}

// Moves a row's values to their columns. `text` is its JSON, and then what stays of it; empty: nothing.
void append_row(std::vector<Late>& late, std::string& text) {
  auto parsed = text.empty() ? Result<json::object>(json::object{}) : parse_object(text);
  bool moved = false;
  for (Late& l : late) {
    const json::value* value = parsed.ok() ? parsed->if_contains(l.column.name) : nullptr;
    if (value == nullptr) {
      check(l.builder->AppendNull());
    } else if (!append_value(*l.builder, l.column, *value)) {
      parsed->stable_erase(l.column.name);
      moved = true;
    }
  }
  if (moved) text = parsed->empty() ? std::string() : json::serialize(*parsed);
}

}  // namespace

Result<LateColumns> make_late_columns(const RowBlock& block, const TableSchema& schema, std::span<const uint32_t> rows) {
  LateColumns out;
  std::vector<Late> late = columns_not_in(block, schema);
  if (late.empty()) return out;
  try {
    arrow::StringBuilder rest;
    std::string text;
    for (const uint32_t row : rows) {
      text = block.rest(row);
      append_row(late, text);
      check(text.empty() ? rest.AppendNull() : rest.Append(text));
    }
    out.arrays.resize(schema.columns().size());
    for (Late& l : late) out.arrays[l.at] = finished(*l.builder);
    out.rest = finished(rest);
  } catch (const ArrowFailure& failure) {
    return storage_error(failure.status.ToString());
  }
  return out;
}

}  // namespace quarry::mvs

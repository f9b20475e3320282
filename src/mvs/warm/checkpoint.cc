// Columns txn, add, remove, metaData, protocol: structs with the members of the log's JSON; a row sets exactly one of them.
#include "mvs/warm/checkpoint.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>

#include <array>

namespace quarry::mvs {
namespace {

using arrow::field;

std::shared_ptr<arrow::DataType> string_map() { return arrow::map(arrow::utf8(), arrow::utf8()); }

std::shared_ptr<arrow::DataType> deletion_vector_type() {
  return arrow::struct_({field("storageType", arrow::utf8()), field("pathOrInlineDv", arrow::utf8()), field("offset", arrow::int32()),
                         field("sizeInBytes", arrow::int32()), field("cardinality", arrow::int64())});
}

std::shared_ptr<arrow::Schema> checkpoint_schema() {
  const auto strings = arrow::list(field("element", arrow::utf8()));
  return arrow::schema({
      field("txn", arrow::struct_({field("appId", arrow::utf8()), field("version", arrow::int64()), field("lastUpdated", arrow::int64())})),
      field("add",
            arrow::struct_({field("path", arrow::utf8()), field("partitionValues", string_map()), field("size", arrow::int64()),
                            field("modificationTime", arrow::int64()), field("dataChange", arrow::boolean()), field("stats", arrow::utf8()),
                            field("tags", string_map()), field("deletionVector", deletion_vector_type())})),
      field("remove",
            arrow::struct_({field("path", arrow::utf8()), field("deletionTimestamp", arrow::int64()), field("dataChange", arrow::boolean()),
                            field("extendedFileMetadata", arrow::boolean()), field("partitionValues", string_map()),
                            field("size", arrow::int64()), field("deletionVector", deletion_vector_type())})),
      field("metaData", arrow::struct_({field("id", arrow::utf8()), field("name", arrow::utf8()), field("description", arrow::utf8()),
                                        field("format", arrow::struct_({field("provider", arrow::utf8()), field("options", string_map())})),
                                        field("schemaString", arrow::utf8()), field("partitionColumns", strings),
                                        field("configuration", string_map()), field("createdTime", arrow::int64())})),
      field("protocol", arrow::struct_({field("minReaderVersion", arrow::int32()), field("minWriterVersion", arrow::int32()),
                                        field("readerFeatures", strings), field("writerFeatures", strings)})),
  });
}

// Appends `value` (nullptr: null) to a builder of any type used above.
arrow::Status append_json(arrow::ArrayBuilder& builder, const arrow::DataType& type, const json::value* value) {
  if (value == nullptr || value->is_null()) return builder.AppendNull();
  switch (type.id()) {
    case arrow::Type::STRING: return static_cast<arrow::StringBuilder&>(builder).Append(std::string_view(value->as_string()));
    case arrow::Type::INT32: return static_cast<arrow::Int32Builder&>(builder).Append(int32_t(value->as_int64()));
    case arrow::Type::INT64: return static_cast<arrow::Int64Builder&>(builder).Append(value->to_number<int64_t>());
    case arrow::Type::BOOL: return static_cast<arrow::BooleanBuilder&>(builder).Append(value->as_bool());
    case arrow::Type::LIST: {
      auto& list = static_cast<arrow::ListBuilder&>(builder);
      ARROW_RETURN_NOT_OK(list.Append());
      for (const auto& item : value->as_array()) ARROW_RETURN_NOT_OK(append_json(*list.value_builder(), *type.field(0)->type(), &item));
      return arrow::Status::OK();
    }
    case arrow::Type::MAP: {
      auto& map = static_cast<arrow::MapBuilder&>(builder);
      ARROW_RETURN_NOT_OK(map.Append());
      for (const auto& member : value->as_object()) {
        ARROW_RETURN_NOT_OK(static_cast<arrow::StringBuilder&>(*map.key_builder()).Append(std::string_view(member.key())));
        ARROW_RETURN_NOT_OK(append_json(*map.item_builder(), *static_cast<const arrow::MapType&>(type).item_type(), &member.value()));
      }
      return arrow::Status::OK();
    }
    case arrow::Type::STRUCT: {
      auto& record = static_cast<arrow::StructBuilder&>(builder);
      ARROW_RETURN_NOT_OK(record.Append());
      for (int i = 0; i < record.num_fields(); ++i)
        ARROW_RETURN_NOT_OK(
            append_json(*record.field_builder(i), *type.field(i)->type(), value->as_object().if_contains(type.field(i)->name())));
      return arrow::Status::OK();
    }
    default: return arrow::Status::NotImplemented(type.ToString());
  }
}

json::value to_json(const arrow::Array& array, int64_t i);

template <class List>
json::value list_to_json(const arrow::Array& array, int64_t i) {
  const auto& list = static_cast<const List&>(array);
  json::array out;
  for (int64_t k = list.value_offset(i); k < list.value_offset(i + 1); ++k) out.push_back(to_json(*list.values(), k));
  return out;
}

json::value map_to_json(const arrow::MapArray& map, int64_t i) {
  json::object out;
  for (int64_t k = map.value_offset(i); k < map.value_offset(i + 1); ++k) {
    json::value key = to_json(*map.keys(), k);
    if (key.is_string()) out[key.as_string()] = to_json(*map.items(), k);
  }
  return out;
}

json::value struct_to_json(const arrow::StructArray& record, int64_t i) {
  json::object out;
  for (int f = 0; f < record.num_fields(); ++f) {
    json::value value = to_json(*record.field(f), i);
    if (!value.is_null()) out[record.type()->field(f)->name()] = std::move(value);
  }
  return out;
}

// Types with no use in an action (decimals, timestamps of parsed statistics) become null.
json::value to_json(const arrow::Array& array, int64_t i) {
  if (array.IsNull(i)) return nullptr;
  switch (array.type_id()) {
    case arrow::Type::STRING: return json::value(json::string(static_cast<const arrow::StringArray&>(array).GetView(i)));
    case arrow::Type::LARGE_STRING: return json::value(json::string(static_cast<const arrow::LargeStringArray&>(array).GetView(i)));
    case arrow::Type::STRING_VIEW: return json::value(json::string(static_cast<const arrow::StringViewArray&>(array).GetView(i)));
    case arrow::Type::INT32: return int64_t(static_cast<const arrow::Int32Array&>(array).Value(i));
    case arrow::Type::INT64: return static_cast<const arrow::Int64Array&>(array).Value(i);
    case arrow::Type::BOOL: return static_cast<const arrow::BooleanArray&>(array).Value(i);
    case arrow::Type::LIST: return list_to_json<arrow::ListArray>(array, i);
    case arrow::Type::LARGE_LIST: return list_to_json<arrow::LargeListArray>(array, i);
    case arrow::Type::MAP: return map_to_json(static_cast<const arrow::MapArray&>(array), i);
    case arrow::Type::STRUCT: return struct_to_json(static_cast<const arrow::StructArray&>(array), i);
    default: return nullptr;
  }
}

Result<std::shared_ptr<arrow::Buffer>> write_parquet(const arrow::RecordBatch& batch) {
  auto out = arrow::io::BufferOutputStream::Create(1 << 16);
  if (!out.ok()) return storage_error(out.status().ToString());
  auto properties =
      parquet::WriterProperties::Builder().created_by("Quarry")->compression(arrow::Compression::SNAPPY)->enable_page_checksum()->build();
  auto writer = parquet::arrow::FileWriter::Open(*batch.schema(), arrow::default_memory_pool(), *out, properties);
  if (!writer.ok()) return internal_error(writer.status().ToString());
  if (auto s = (*writer)->WriteRecordBatch(batch); !s.ok()) return internal_error(s.ToString());
  if (auto s = (*writer)->Close(); !s.ok()) return internal_error(s.ToString());
  auto bytes = (*out)->Finish();
  if (!bytes.ok()) return internal_error(bytes.status().ToString());
  return *bytes;
}

Result<std::shared_ptr<arrow::Table>> read_table(std::shared_ptr<arrow::Buffer> bytes, const std::string& key) {
  const auto fail = [&](const arrow::Status& s) { return corruption(fmt::format("{}: {}", key, s.message())); };
  parquet::ReaderProperties properties;
  properties.set_page_checksum_verification(true);
  parquet::arrow::FileReaderBuilder builder;
  if (auto s = builder.Open(std::make_shared<arrow::io::BufferReader>(std::move(bytes)), properties); !s.ok()) return fail(s);
  std::unique_ptr<parquet::arrow::FileReader> reader;
  if (auto s = builder.Build(&reader); !s.ok()) return fail(s);
  auto table = reader->ReadTable();
  if (!table.ok()) return fail(table.status());
  auto whole = (*table)->CombineChunks();
  if (!whole.ok()) return fail(whole.status());
  return *whole;
}

}  // namespace

Result<std::shared_ptr<arrow::Buffer>> encode_checkpoint(const std::vector<Action>& actions) {
  try {
    const auto schema = checkpoint_schema();
    arrow::ArrayVector columns;
    std::vector<std::unique_ptr<arrow::ArrayBuilder>> builders;
    for (const auto& f : schema->fields()) builders.push_back(arrow::MakeBuilder(f->type()).ValueOrDie());
    for (const auto& action : actions) {
      const json::object row = action_to_json(action);
      for (int i = 0; i < schema->num_fields(); ++i)
        if (auto s = append_json(*builders[size_t(i)], *schema->field(i)->type(), row.if_contains(schema->field(i)->name())); !s.ok())
          return internal_error(s.ToString());
    }
    for (auto& builder : builders) {
      std::shared_ptr<arrow::Array> array;
      if (auto s = builder->Finish(&array); !s.ok()) return internal_error(s.ToString());
      columns.push_back(std::move(array));
    }
    return write_parquet(*arrow::RecordBatch::Make(schema, int64_t(actions.size()), std::move(columns)));
  } catch (const std::exception& e) {
    return internal_error(fmt::format("writing a checkpoint: {}", e.what()));
  }
}

Result<std::vector<Action>> decode_checkpoint(std::shared_ptr<arrow::Buffer> bytes, const std::string& key) {
  static constexpr std::array kKinds{"protocol", "metaData", "txn", "remove", "add"};
  try {
    QUARRY_ASSIGN_OR_RETURN(const auto table, read_table(std::move(bytes), key));
    std::vector<Action> out;
    for (const char* kind : kKinds) {
      const auto column = table->GetColumnByName(kind);
      if (column == nullptr) continue;
      for (const auto& chunk : column->chunks())
        for (int64_t i = 0; i < chunk->length(); ++i) {
          const json::value value = to_json(*chunk, i);
          // Some writers give every struct of a row its members as nulls instead of leaving it null.
          if (!value.is_object() || value.as_object().empty()) continue;
          if (!action_from_json(kind, value.as_object(), out)) return corruption(fmt::format("{}: row {} is not a valid {}", key, i, kind));
        }
    }
    return out;
  } catch (const std::exception& e) {
    return corruption(fmt::format("{}: {}", key, e.what()));
  }
}

}  // namespace quarry::mvs

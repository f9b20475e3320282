// One action a line, {"<kind>": {...}}. Kinds written: commitInfo, protocol, metaData, txn, remove, add. Member names as in the protocol.
#include "mvs/warm/delta_actions.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/hash.h"
#include "objects/object_store.h"

namespace quarry::mvs {
namespace {

json::object to_json(const DeletionVectorRef& dv) {
  json::object out{{"storageType", dv.storage_type}, {"pathOrInlineDv", dv.path_or_inline}};
  if (dv.offset) out["offset"] = *dv.offset;
  out["sizeInBytes"] = dv.size_in_bytes;
  out["cardinality"] = dv.cardinality;
  return out;
}

template <class Map>
json::object map_to_json(const Map& map) {
  json::object out;
  for (const auto& [k, v] : map) out[k] = v;
  return out;
}

json::array strings_to_json(const std::vector<std::string>& values) { return json::array(values.begin(), values.end()); }

json::object to_json(const Protocol& p) {
  json::object body{{"minReaderVersion", p.min_reader}, {"minWriterVersion", p.min_writer}};
  if (p.min_reader >= 3) body["readerFeatures"] = strings_to_json(p.reader_features);
  if (p.min_writer >= 7) body["writerFeatures"] = strings_to_json(p.writer_features);
  return {{"protocol", std::move(body)}};
}

json::object to_json(const Metadata& m) {
  return {{"metaData",
           {{"id", m.id},
            {"format", {{"provider", "parquet"}, {"options", json::object{}}}},
            {"schemaString", m.schema_string},
            {"partitionColumns", strings_to_json(m.partition_columns)},
            {"configuration", map_to_json(m.configuration)},
            {"createdTime", m.created_ms}}}};
}

json::object to_json(const AddFile& f) {
  json::object body{{"path", encode_path(f.path)},
                    {"partitionValues", json::object{}},
                    {"size", f.size},
                    {"modificationTime", f.modified_ms},
                    {"dataChange", f.data_change}};
  if (!f.stats.empty()) body["stats"] = f.stats;
  if (!f.tags.empty()) body["tags"] = map_to_json(f.tags);
  if (f.deletion_vector) body["deletionVector"] = to_json(*f.deletion_vector);
  return {{"add", std::move(body)}};
}

json::object to_json(const RemoveFile& f) {
  json::object body{{"path", encode_path(f.path)},  {"deletionTimestamp", f.deleted_ms}, {"dataChange", f.data_change},
                    {"extendedFileMetadata", true}, {"partitionValues", json::object{}}, {"size", f.size}};
  if (f.deletion_vector) body["deletionVector"] = to_json(*f.deletion_vector);
  return {{"remove", std::move(body)}};
}

json::object to_json(const SetTransaction& t) {
  return {{"txn", {{"appId", t.app_id}, {"version", t.version}, {"lastUpdated", t.updated_ms}}}};
}

json::object to_json(const CommitInfo& c) { return {{"commitInfo", c.fields}}; }

// Readers of one action's body; a member that is absent or of another kind gives the fallback, or marks the body bad when it is needed.
class Body {
 public:
  explicit Body(const json::object& object) : object_(object) {}

  std::string text(std::string_view name, bool needed = false) {
    const auto* v = find(name, needed);
    if (v == nullptr) return {};
    if (!v->is_string()) return fail(), std::string{};
    return std::string(v->as_string());
  }
  int64_t integer(std::string_view name, bool needed = false) {
    const auto* v = find(name, needed);
    if (v == nullptr) return 0;
    if (v->is_int64()) return v->as_int64();
    if (v->is_uint64() && v->as_uint64() <= uint64_t(INT64_MAX)) return int64_t(v->as_uint64());
    return fail(), 0;
  }
  bool boolean(std::string_view name, bool fallback) {
    const auto* v = find(name, false);
    if (v == nullptr) return fallback;
    if (!v->is_bool()) return fail(), fallback;
    return v->as_bool();
  }
  std::vector<std::string> strings(std::string_view name) {
    std::vector<std::string> out;
    if (const auto* v = find(name, false)) {
      if (!v->is_array()) return fail(), out;
      for (const auto& item : v->as_array())
        if (item.is_string())
          out.emplace_back(item.as_string());
        else
          fail();
    }
    return out;
  }
  std::map<std::string, std::string> map(std::string_view name) {
    std::map<std::string, std::string> out;
    if (const auto* v = find(name, false)) {
      if (!v->is_object()) return fail(), out;
      for (const auto& member : v->as_object())
        if (member.value().is_string()) out[member.key()] = member.value().as_string();
    }
    return out;
  }
  std::optional<DeletionVectorRef> deletion_vector() {
    const auto* v = find("deletionVector", false);
    if (v == nullptr) return std::nullopt;
    if (!v->is_object()) return fail(), std::nullopt;
    Body body(v->as_object());
    DeletionVectorRef out;
    out.storage_type = body.text("storageType", true);
    out.path_or_inline = body.text("pathOrInlineDv", true);
    if (body.find("offset", false)) out.offset = int32_t(body.integer("offset"));
    out.size_in_bytes = int32_t(body.integer("sizeInBytes", true));
    out.cardinality = body.integer("cardinality", true);
    bad_ = bad_ || body.bad_;
    return out;
  }
  // Of a file below the table's folder, which no log may lead out of.
  std::string path() {
    std::string out = decode_path(text("path", true));
    if (!objects::validate_key(out).ok()) fail();
    return out;
  }
  bool bad() const { return bad_; }

 private:
  const json::value* find(std::string_view name, bool needed) {
    const auto* v = object_.if_contains(name);
    if (v != nullptr && v->is_null()) v = nullptr;
    if (v == nullptr && needed) fail();
    return v;
  }
  void fail() { bad_ = true; }

  const json::object& object_;
  bool bad_ = false;
};

Protocol read_protocol(Body& b) {
  Protocol p;
  p.min_reader = int(b.integer("minReaderVersion", true));
  p.min_writer = int(b.integer("minWriterVersion", true));
  p.reader_features = b.strings("readerFeatures");
  p.writer_features = b.strings("writerFeatures");
  return p;
}

Metadata read_metadata(Body& b) {
  return {b.text("id", true), b.text("schemaString", true), b.strings("partitionColumns"), b.map("configuration"),
          b.integer("createdTime")};
}

AddFile read_add(Body& b) {
  AddFile f;
  f.path = b.path();
  f.size = b.integer("size", true);
  f.modified_ms = b.integer("modificationTime");
  f.data_change = b.boolean("dataChange", true);
  f.stats = b.text("stats");
  f.deletion_vector = b.deletion_vector();
  f.tags = b.map("tags");
  return f;
}

RemoveFile read_remove(Body& b) {
  RemoveFile f;
  f.path = decode_path(b.text("path", true));
  f.deleted_ms = b.integer("deletionTimestamp");
  f.data_change = b.boolean("dataChange", true);
  f.size = b.integer("size");
  f.deletion_vector = b.deletion_vector();
  return f;
}

SetTransaction read_txn(Body& b) { return {b.text("appId", true), b.integer("version", true), b.integer("lastUpdated")}; }

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~' ||
         c == '/' || c == '=';
}

}  // namespace

json::object action_to_json(const Action& action) {
  return std::visit([](const auto& a) { return to_json(a); }, action);
}

bool action_from_json(std::string_view kind, const json::object& object, std::vector<Action>& out) {
  Body body(object);
  if (kind == "add")
    out.emplace_back(read_add(body));
  else if (kind == "remove")
    out.emplace_back(read_remove(body));
  else if (kind == "metaData")
    out.emplace_back(read_metadata(body));
  else if (kind == "protocol")
    out.emplace_back(read_protocol(body));
  else if (kind == "txn")
    out.emplace_back(read_txn(body));
  else if (kind == "commitInfo")
    out.emplace_back(CommitInfo{object});
  return !body.bad();
}

namespace {

constexpr std::string_view kSealName = "quarryCrc32c", kSealBegin = R"("quarryCrc32c":")", kUnsealed = "00000000";

// Where the digits of the seal stand; npos: the entry has none. Quarry's commitInfo comes first.
size_t seal_at(std::string_view text) {
  const size_t at = text.substr(0, text.find('\n')).find(kSealBegin);
  const size_t digits = at == std::string_view::npos ? at : at + kSealBegin.size();
  return digits == std::string_view::npos || text.size() - digits < kUnsealed.size() ? std::string_view::npos : digits;
}

std::string seal_of(std::string_view text, size_t at) {
  const uint32_t before = crc32c(kUnsealed, crc32c(text.substr(0, at)));
  return fmt::format("{:08x}", crc32c(text.substr(at + kUnsealed.size()), before));
}

Status check_seal(std::string_view text, std::string_view file) {
  const size_t at = seal_at(text);
  if (at == std::string_view::npos || text.substr(at, kUnsealed.size()) == seal_of(text, at)) return Ok{};
  return corruption(fmt::format("{}: the CRC-32C of the entry is not the one it bears at offset {}", file, at));
}

}  // namespace

CommitInfo sealed_info(json::object fields) {
  fields[kSealName] = kUnsealed;
  return {std::move(fields)};
}

std::string encode_commit(const std::vector<Action>& actions) {
  std::string out;
  for (const auto& action : actions) {
    out += json::serialize(action_to_json(action));
    out += '\n';
  }
  if (const size_t at = seal_at(out); at != std::string::npos && std::string_view(out).substr(at, kUnsealed.size()) == kUnsealed)
    out.replace(at, kUnsealed.size(), seal_of(out, at));
  return out;
}

Result<std::vector<Action>> decode_commit(std::string_view text, std::string_view file) {
  QUARRY_RETURN_IF_ERROR(check_seal(text, file));
  std::vector<Action> out;
  size_t line_number = 0;
  const size_t bytes = text.size();
  // Every writer says something; a power cut may leave nothing.
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return corruption(fmt::format("{}: is empty at offset 0", file));
  while (!text.empty()) {
    ++line_number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const size_t offset = bytes - text.size();
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    boost::system::error_code ec;
    const json::value value = json::parse(line, ec);
    bool good = !ec && value.is_object();
    if (good)
      for (const auto& member : value.as_object())
        if (member.value().is_object()) good = good && action_from_json(member.key(), member.value().as_object(), out);
    if (!good) return corruption(fmt::format("{}: line {} at offset {} is not a Delta action", file, line_number, offset));
  }
  return out;
}

Status check_protocol(const Protocol& protocol) {
  // What changes nothing for a reader or writer like Quarry, which writes no generated, identity or default column of others.
  static constexpr std::array kKnown{"deletionVectors", "appendOnly", "invariants", "timestampNtz", "vacuumProtocolCheck"};
  const auto known = [](const std::string& f) { return std::find(kKnown.begin(), kKnown.end(), f) != kKnown.end(); };
  if (protocol.min_reader > 3 || protocol.min_writer > 7)
    return storage_error(
        fmt::format("the Delta table asks for reader {} and writer {}; Quarry knows 3 and 7", protocol.min_reader, protocol.min_writer));
  for (const auto* features : {&protocol.reader_features, &protocol.writer_features})
    for (const auto& f : *features)
      if (!known(f)) return storage_error(fmt::format("the Delta table uses the feature '{}', which Quarry does not know", f));
  return Ok{};
}

std::optional<Protocol> amended_protocol(const Protocol& protocol) {
  const auto& known = protocol.writer_features;
  if (protocol.min_writer < 7 || std::find(known.begin(), known.end(), "invariants") != known.end()) return std::nullopt;
  Protocol out = protocol;
  out.writer_features.emplace_back("invariants");
  return out;
}

std::optional<int64_t> stats_num_records(std::string_view stats) {
  boost::system::error_code ec;
  const json::value value = json::parse(stats, ec);
  if (ec || !value.is_object()) return std::nullopt;
  const auto* n = value.as_object().if_contains("numRecords");
  return n != nullptr && n->is_int64() ? std::optional(n->as_int64()) : std::nullopt;
}

std::string encode_path(std::string_view path) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (char c : path) {
    if (is_plain(c)) {
      out += c;
    } else {
      out += '%';
      out += kDigits[uint8_t(c) >> 4];
      out += kDigits[uint8_t(c) & 15];
    }
  }
  return out;
}

std::string decode_path(std::string_view path) { return percent_decoded(path); }

}  // namespace quarry::mvs

// The actions of a Delta Lake commit (Delta Transaction Log Protocol, reader version 3, writer version 7) and their JSON.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace quarry::mvs {

// Where a file's deletion vector lies. storage_type 'u': `path_or_inline` is an optional folder prefix and the z85 of a UUID that names
// deletion_vector_<uuid>.bin in the table's folder; 'i': z85 of the bytes; 'p': an absolute path (refused).
struct DeletionVectorRef {
  std::string storage_type = "u";
  std::string path_or_inline;
  std::optional<int32_t> offset;
  int32_t size_in_bytes = 0;
  int64_t cardinality = 0;

  bool operator==(const DeletionVectorRef&) const = default;
};

struct AddFile {
  std::string path;  // relative to the table, decoded
  int64_t size = 0;
  int64_t modified_ms = 0;
  bool data_change = true;
  std::string stats;  // JSON text as stored; empty: none
  std::optional<DeletionVectorRef> deletion_vector;
  std::map<std::string, std::string> tags;
};

struct RemoveFile {
  std::string path;
  int64_t deleted_ms = 0;
  bool data_change = true;
  int64_t size = 0;
  std::optional<DeletionVectorRef> deletion_vector;
};

struct SetTransaction {
  std::string app_id;
  int64_t version = 0;
  int64_t updated_ms = 0;
};

struct Metadata {
  std::string id;
  std::string schema_string;
  std::vector<std::string> partition_columns;
  std::map<std::string, std::string> configuration;
  int64_t created_ms = 0;
};

struct Protocol {
  int min_reader = 3, min_writer = 7;
  // "invariants" is what a column that is not nullable asks of writers; Spark refuses the table without it.
  std::vector<std::string> reader_features{"deletionVectors"}, writer_features{"deletionVectors", "invariants"};
};

// Anything for people; never needed to read the table.
struct CommitInfo {
  json::object fields;
};

using Action = std::variant<Protocol, Metadata, AddFile, RemoveFile, SetTransaction, CommitInfo>;

// A commitInfo of Quarry's: `fields`, and the member that encode_commit() fills with the CRC-32C of the whole entry, taken with zeros in its
// place. An entry that bears one is refused by decode_commit() when its bytes are not those that were written.
CommitInfo sealed_info(json::object fields);

// Newline-separated JSON, one action a line.
std::string encode_commit(const std::vector<Action>& actions);
// Actions Quarry has no use for (cdc, domainMetadata, sidecar) are skipped. kCorruption names `file` and the line.
Result<std::vector<Action>> decode_commit(std::string_view text, std::string_view file);

// {"<kind>": {...}} of one action, and back. False if the body is not a `kind`; kinds that are skipped add nothing.
json::object action_to_json(const Action& action);
bool action_from_json(std::string_view kind, const json::object& body, std::vector<Action>& out);

// Ok if Quarry may read and write a table of this protocol; kStorage names the feature it lacks.
Status check_protocol(const Protocol& protocol);

// What the protocol of a table should be that Quarry made before it listed every feature; nullopt: it is as it should be.
std::optional<Protocol> amended_protocol(const Protocol& protocol);

// numRecords of a stats text; nullopt if it says nothing.
std::optional<int64_t> stats_num_records(std::string_view stats);

// Percent-decoding of paths in the log; encode leaves [A-Za-z0-9-_.~/=] alone.
std::string encode_path(std::string_view path);
std::string decode_path(std::string_view path);

}  // namespace quarry::mvs

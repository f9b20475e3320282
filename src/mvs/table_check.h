// Looking for damage in a table's files, without opening the table: for `quarry doctor --deep`.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "objects/object_store.h"

namespace quarry::mvs {

struct FileFault {
  std::string file;                // key, or path on the local disk
  std::optional<uint64_t> offset;  // bytes; nullopt: of the whole file, or it is missing
  std::string what;
  bool is_derived = false;           // the server does without it, and makes it again
  std::optional<uint32_t> crc = {};  // of a data file: the CRC-32C that the log has
  std::string refers_to_it = {};     // of a derived file on the object store: the key that has to go before it; empty: none
};

struct TableCheck {
  int64_t version = -1;  // -1: the log cannot be read
  uint64_t documents = 0, files = 0, bytes = 0;
  std::vector<FileFault> faults;
};

// Reads all of the table at `prefix` (without a trailing '/'), a data file at a time: every entry and checkpoint of the log, and of what
// the newest version names: data files (size, checksum, pages, rows, statistics), deletion vectors (checksum, range, number), sidecars of
// the cold tier, and that no document is there twice. Holds the ids of all documents. Errors are the store's; damage is a fault.
Result<TableCheck> check_table(objects::ObjectStore& store, const std::string& prefix);

// The folder of a table's local files below the server's local folder.
std::string local_folder_name(const std::string& prefix);

// Every file below `folder`, which may be absent: damaged ones, what a crash left half written, and folders that belong to none of the
// tables whose prefixes are given. All faults are derived; no server may run.
std::vector<FileFault> check_local_files(const std::filesystem::path& folder, const std::vector<std::string>& prefixes);

}  // namespace quarry::mvs

// Copies of tables on the object store, made file by file without the table being opened or held in memory: how a snapshot is taken and
// brought back.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "objects/object_store.h"

namespace quarry::mvs {

struct CopiedFile {
  std::string path;    // relative to the copy's prefix
  uint64_t size = 0;   // bytes
  std::string sha256;  // hexadecimal
};

struct TableCopy {
  int64_t version = 0;            // of the table that was copied
  uint64_t documents = 0;         // live rows
  std::vector<CopiedFile> files;  // all that the copy consists of; the log's one entry comes last
};

struct TableCopyOptions {
  std::string table_id;  // that the copy bears
  // Changes a lineage column's text: ids of buckets, objects and collections, alone or in a path. Then the files are written anew with the
  // live rows alone. Empty: files are copied byte by byte. Document ids stay in either case.
  std::function<std::string(std::string_view)> rename;
  // Called after each file with its bytes, on the calling thread. An error ends the copy and is returned.
  std::function<Status(uint64_t bytes)> progress;
  const Clock* clock = &system_clock();
};

// Copies the newest version of the table at `from` (a key prefix without a trailing '/') to `to`, where no key is yet: data files and
// deletion vectors, each whole in memory for a moment, then a log of one entry, version 0. Rows that a stale rewrite doubled are left out;
// while there are such, all of the table is in memory. Until the entry is there, `to` is no table; after an error files may be left. The
// source may be written to meanwhile, and what its upkeep removes under the copy's hands is found again in a newer version. Errors:
// kNotFound (no table), kCorruption (names the file: missing, of another size, a checksum that differs), kStorage.
Result<TableCopy> copy_table(objects::ObjectStore& store, const std::string& from, const std::string& to, const TableCopyOptions& options);

}  // namespace quarry::mvs

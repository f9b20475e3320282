// The data folder: one server at a time, and a version that says who may open it.
//
//   FORMAT        "quarry data folder, format N\n"
//   LOCK          held (flock) while a server runs
//   catalog.db    SQLite
//   objects/      the object store: blobs and tables (empty where objects.url names another)
//   object-cache/ blocks of tables read from an object store elsewhere; may be removed while no server runs
//   local/        segments and indexes of the tables, as they are searched; may be removed while no server runs
//   signing.key   32 random bytes, mode 0600: signs presigned URLs and cursors
//   backups/      copies of catalog.db and FORMAT made before a migration
#pragma once

#include <filesystem>

#include "base/file.h"

namespace quarry {

inline constexpr int kDataFormat = 3;

class DataFolder {
 public:
  // Makes the folder if absent or empty; refuses a folder that holds other things, one that another server uses (kConflict), and one of a
  // newer format; migrates an older one after a backup.
  static Result<DataFolder> open(const std::filesystem::path& root);

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path catalog_file() const { return root_ / "catalog.db"; }
  std::filesystem::path objects() const { return root_ / "objects"; }
  std::filesystem::path object_cache() const { return root_ / "object-cache"; }
  std::filesystem::path local_tables() const { return root_ / "local"; }
  const std::string& signing_secret() const { return signing_secret_; }

 private:
  std::filesystem::path root_;
  FileDescriptor lock_;
  std::string signing_secret_;
};

// For tests and doctor: the format number in `root`, 0 if there is no FORMAT file.
Result<int> read_format(const std::filesystem::path& root);

}  // namespace quarry

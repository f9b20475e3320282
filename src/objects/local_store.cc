// Objects as files: key "a/b" is the file root/a/b, so that other programs read a table where it lies.
// Invariants: a file under its final name is complete and synced (temporary file, fsync, rename or link, fsync of the folder); folders
// exist only to hold files, are made on demand and removed when empty; everything in root/.quarry-tmp is garbage once ten minutes old.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "objects/object_store.h"

namespace quarry::objects {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryDir = ".quarry-tmp";
constexpr int64_t kGarbageAgeSeconds = 600;
constexpr int kMaxFolderRaces = 100;  // how often a folder may be removed under a put before the put gives up

TimestampUs modified_us(const struct stat& info) { return info.st_mtim.tv_sec * int64_t{1'000'000} + info.st_mtim.tv_nsec / 1'000; }

Error no_such_object(std::string_view key) { return not_found(fmt::format("object '{}' does not exist", key)); }

class LocalStore : public ObjectStore {
 public:
  explicit LocalStore(fs::path root) : root_(std::move(root)), temporary_dir_(root_ / kTemporaryDir) {}

  Status put(std::string_view key, std::string_view bytes) override {
    return write(key, [&](const fs::path& path) { return write_file_atomic(path, bytes, 0644, temporary_dir_); });
  }

  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    return write(key, [&](const fs::path& path) { return write_file_if_absent(path, bytes, temporary_dir_); });
  }

  Result<std::string> get(std::string_view key) override { return get_range(key, 0, UINT64_MAX); }

  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    QUARRY_ASSIGN_OR_RETURN(fs::path path, path_of(key));
    auto bytes = read_file_range(path, offset, length);
    bool is_absent = !bytes.ok() && (bytes.error().kind == ErrorKind::kNotFound || bytes.error().kind == ErrorKind::kBadRequest);
    if (is_absent) return no_such_object(key);  // a folder is no object
    return bytes;
  }

  Result<ObjectInfo> head(std::string_view key) override {
    QUARRY_ASSIGN_OR_RETURN(fs::path path, path_of(key));
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
      Error error = errno_error("stat", path, errno);
      return error.kind == ErrorKind::kNotFound ? no_such_object(key) : error;
    }
    if (!S_ISREG(info.st_mode)) return no_such_object(key);
    return ObjectInfo{std::string(key), static_cast<uint64_t>(info.st_size), modified_us(info)};
  }

  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override;
  Status remove(std::string_view key) override;

  std::optional<fs::path> local_path(std::string_view key) const override { return root_ / fs::path(key); }
  std::string describe() const override { return "file://" + root_.string(); }

 private:
  struct Entry {
    std::string name;  // folders end in '/', which puts them where their keys sort
    struct stat info;
  };
  struct Listing {
    std::string_view prefix, after;
    size_t limit;
    std::vector<ObjectInfo> found;
  };

  Result<fs::path> path_of(std::string_view key) const {
    QUARRY_RETURN_IF_ERROR(validate_key(key));
    if (key.substr(0, key.find('/')) == kTemporaryDir)
      return bad_request(fmt::format("object keys may not start with '{}'", kTemporaryDir));
    return root_ / fs::path(key);
  }

  template <typename Write>
  Status write(std::string_view key, const Write& write_file);
  Result<std::vector<Entry>> read_folder(const fs::path& dir) const;
  Status list_folder(const std::string& dir, Listing& listing) const;

  const fs::path root_;
  const fs::path temporary_dir_;
};

// `remove` takes empty folders away at any moment, so a folder made here may be gone when the file is to be linked into it: then again.
template <typename Write>
Status LocalStore::write(std::string_view key, const Write& write_file) {
  QUARRY_ASSIGN_OR_RETURN(fs::path path, path_of(key));
  Status status = Ok{};
  for (int i = 0; i < kMaxFolderRaces; ++i) {
    status = make_directories(path.parent_path());
    if (status.ok()) status = write_file(path);
    if (status.ok() || status.error().kind != ErrorKind::kNotFound) break;
  }
  if (status.ok()) return status;
  Error error = std::move(status).error();
  struct stat info {};
  bool is_folder = ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  if (is_folder) return bad_request(fmt::format("object '{}' cannot be written: there are objects below it", key));
  if (error.kind == ErrorKind::kBadRequest || error.kind == ErrorKind::kNotFound)
    return bad_request(fmt::format("object '{}' cannot be written: an object bears the name of one of its folders", key));
  return error;
}

Status LocalStore::remove(std::string_view key) {
  QUARRY_ASSIGN_OR_RETURN(fs::path path, path_of(key));
  if (::unlink(path.c_str()) != 0) {
    bool is_absent = errno == ENOENT || errno == ENOTDIR || errno == EISDIR;
    return is_absent ? Status(Ok{}) : errno_error("remove", path, errno);
  }
  for (fs::path dir = path.parent_path(); dir != root_ && ::rmdir(dir.c_str()) == 0; dir = dir.parent_path()) {
  }
  return Ok{};
}

Result<std::vector<LocalStore::Entry>> LocalStore::read_folder(const fs::path& dir) const {
  std::vector<Entry> entries;
  std::error_code error;
  fs::directory_iterator it(dir, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    Entry entry{it->path().filename().string(), {}};
    if (::lstat(it->path().c_str(), &entry.info) != 0) continue;  // removed meanwhile
    if (S_ISDIR(entry.info.st_mode)) entry.name.push_back('/');
    if (S_ISDIR(entry.info.st_mode) || S_ISREG(entry.info.st_mode)) entries.push_back(std::move(entry));
  }
  if (error && error.value() != ENOENT && error.value() != ENOTDIR) return errno_error("list", dir, error.value());
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

// `dir` is empty or ends in '/'. Recursion is as deep as a key has segments.
Status LocalStore::list_folder(const std::string& dir, Listing& listing) const {
  QUARRY_ASSIGN_OR_RETURN(auto entries, read_folder(root_ / fs::path(dir)));
  for (const Entry& entry : entries) {
    if (listing.found.size() >= listing.limit) return Ok{};
    std::string key = dir + entry.name;
    bool is_folder = key.back() == '/';
    if (is_folder && dir.empty() && entry.name.substr(0, entry.name.size() - 1) == kTemporaryDir) continue;
    bool may_match = key.starts_with(listing.prefix) || (is_folder && listing.prefix.starts_with(key));
    if (!may_match) continue;
    if (!is_folder) {
      if (key > listing.after)
        listing.found.push_back({std::move(key), static_cast<uint64_t>(entry.info.st_size), modified_us(entry.info)});
      continue;
    }
    bool all_before = listing.after > key && !listing.after.starts_with(key);
    if (!all_before) QUARRY_RETURN_IF_ERROR(list_folder(key, listing));
  }
  return Ok{};
}

Result<std::vector<ObjectInfo>> LocalStore::list(std::string_view prefix, std::string_view after, size_t limit) {
  size_t slash = prefix.rfind('/');
  std::string dir;
  if (slash != std::string_view::npos) {
    dir = prefix.substr(0, slash + 1);
    if (!path_of(prefix.substr(0, slash)).ok()) return std::vector<ObjectInfo>();  // no key starts like that
  }
  Listing listing{prefix, after, limit, {}};
  QUARRY_RETURN_IF_ERROR(list_folder(dir, listing));
  return std::move(listing.found);
}

// What crashed writers left behind.
void remove_garbage(const fs::path& dir) {
  std::error_code error;
  int64_t now_s = system_clock().now_us() / 1'000'000;
  for (fs::directory_iterator it(dir, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    struct stat info {};
    bool is_old = ::lstat(it->path().c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_mtim.tv_sec + kGarbageAgeSeconds < now_s;
    if (is_old) ::unlink(it->path().c_str());
  }
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_local_store(const fs::path& root) {
  std::error_code error;
  fs::path absolute = fs::absolute(root, error).lexically_normal();
  if (error) return errno_error("resolve", root, error.value());
  if (!absolute.has_filename()) absolute = absolute.parent_path();  // "/data/" -> "/data"
  QUARRY_RETURN_IF_ERROR(make_directories(absolute / kTemporaryDir));
  remove_garbage(absolute / kTemporaryDir);
  return std::unique_ptr<ObjectStore>(std::make_unique<LocalStore>(std::move(absolute)));
}

}  // namespace quarry::objects

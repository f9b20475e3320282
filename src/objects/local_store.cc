// Objects as files: key "a/b" is the file root/a/b, so that other programs read a table where it lies.
// Invariants: a file under its final name is complete and synced (temporary file, fsync, rename or link, fsync of the folder); folders
// exist only to hold files, are made on demand and removed when empty; everything in root/.quarry-tmp is garbage once ten minutes old.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "base/file.h"
#include "objects/local_reader.h"

namespace quarry::objects {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryDir = ".quarry-tmp";
constexpr int64_t kGarbageAgeSeconds = 600;
constexpr int kFreeTries = 4;         // how often a folder may be removed under a put before the put keeps this process from it
constexpr int kMaxFolderRaces = 100;  // and before it gives up: other processes remove folders too

TimestampUs modified_us(const struct stat& info) { return info.st_mtim.tv_sec * int64_t{1'000'000} + info.st_mtim.tv_nsec / 1'000; }

Error no_such_object(std::string_view key) { return not_found(fmt::format("object '{}' does not exist", key)); }

// Opens a file for reading, folder by folder, so that no symbolic link below `root` is followed; kNotFound if there is one on the way.
Result<FileDescriptor> open_without_links(const fs::path& root, std::string_view key) {
  FileDescriptor at(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at) return errno_error("open", root, errno);
  for (size_t begin = 0, slash = 0; slash != std::string_view::npos; begin = slash + 1) {
    slash = key.find('/', begin);
    const std::string name(key.substr(begin, slash - begin));
    const int flags = slash == std::string_view::npos ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY;  // a pipe is not waited for
    FileDescriptor next(::openat(at.get(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return errno == ELOOP || errno == ENXIO ? no_such_object(key) : errno_error("open", root / fs::path(key), errno);
    at = std::move(next);
  }
  return at;
}

class LocalStore : public ObjectStore {
 public:
  LocalStore(fs::path root, bool is_read_only)
      : root_(std::move(root)), temporary_dir_(root_ / kTemporaryDir), is_read_only_(is_read_only) {}

  Status put(std::string_view key, std::string_view bytes) override {
    return write(key, [&](const fs::path& path) { return write_file_atomic(path, bytes, 0644, temporary_dir_); });
  }

  Status put_if_absent(std::string_view key, std::string_view bytes) override {
    return write(key, [&](const fs::path& path) { return write_file_if_absent(path, bytes, temporary_dir_); });
  }

  Result<std::string> get(std::string_view key) override { return get_range(key, 0, UINT64_MAX); }

  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    QUARRY_ASSIGN_OR_RETURN(fs::path path, path_of(key));
    auto bytes = is_read_only_ ? read_without_links(key, offset, length) : read_file_range(path, offset, length);
    bool is_absent = !bytes.ok() && (bytes.error().kind == ErrorKind::kNotFound || bytes.error().kind == ErrorKind::kBadRequest);
    if (is_absent) return no_such_object(key);  // a folder is no object
    return bytes;
  }

  Result<ObjectInfo> head(std::string_view key) override {
    QUARRY_ASSIGN_OR_RETURN(fs::path path, path_of(key));
    struct stat info {};
    if (Status seen = is_read_only_ ? look_without_links(key, info) : look_at(path, info); !seen.ok())
      return seen.error().kind == ErrorKind::kNotFound ? no_such_object(key) : std::move(seen).error();
    if (!S_ISREG(info.st_mode)) return no_such_object(key);
    return ObjectInfo{std::string(key), static_cast<uint64_t>(info.st_size), modified_us(info)};
  }

  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override;
  Status walk(std::string_view prefix, const Visit& visit) override { return walk_after(prefix, "", visit); }
  Status remove(std::string_view key) override;
  Status remove_many(std::span<const std::string> keys) override;

  std::optional<fs::path> local_path(std::string_view key) const override {
    auto path = path_of(key);
    return path.ok() && !is_read_only_ ? std::optional(std::move(path).value()) : std::nullopt;
  }
  std::string describe() const override { return "file://" + root_.string(); }

 private:
  struct Walk {
    std::string_view prefix, after;
    const Visit& visit;
    bool ended = false;
  };

  Result<fs::path> path_of(std::string_view key) const {
    QUARRY_RETURN_IF_ERROR(validate_key(key));
    if (key.substr(0, key.find('/')) == kTemporaryDir)
      return bad_request(fmt::format("object keys may not start with '{}'", kTemporaryDir));
    return root_ / fs::path(key);
  }

  static Status look_at(const fs::path& path, struct stat& info) {
    return ::lstat(path.c_str(), &info) == 0 ? Status(Ok{}) : errno_error("stat", path, errno);
  }
  Status look_without_links(std::string_view key, struct stat& info) const {
    QUARRY_ASSIGN_OR_RETURN(const FileDescriptor file, open_without_links(root_, key));
    return ::fstat(file.get(), &info) == 0 ? Status(Ok{}) : errno_error("stat", root_ / fs::path(key), errno);
  }
  Result<std::string> read_without_links(std::string_view key, uint64_t offset, uint64_t length) const {
    QUARRY_ASSIGN_OR_RETURN(const FileDescriptor file, open_without_links(root_, key));
    return read_file_range(file.get(), root_ / fs::path(key), offset, length);
  }

  Status check_writable() const {
    return is_read_only_ ? Status(bad_request(fmt::format("{} is read, not written", describe()))) : Status(Ok{});
  }
  template <typename Write>
  Status write(std::string_view key, const Write& write_file);
  Status walk_after(std::string_view prefix, std::string_view after, const Visit& visit) const;
  Status walk_folder(const std::string& dir, Walk& walk) const;
  Status visit_file(std::string key, Walk& walk) const;

  const fs::path root_;
  const fs::path temporary_dir_;
  const bool is_read_only_;
  std::shared_mutex folders_;  // exclusive while empty folders are removed
};

// `remove` takes empty folders away at any moment, so a folder made here may be gone when the file is to be linked into it: then again.
template <typename Write>
Status LocalStore::write(std::string_view key, const Write& write_file) {
  QUARRY_RETURN_IF_ERROR(check_writable());
  QUARRY_ASSIGN_OR_RETURN(fs::path path, path_of(key));
  Status status = Ok{};
  for (int i = 0; i < kMaxFolderRaces; ++i) {
    std::shared_lock folders_stay(folders_, std::defer_lock);
    if (i >= kFreeTries) folders_stay.lock();
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
  QUARRY_RETURN_IF_ERROR(check_writable());
  QUARRY_ASSIGN_OR_RETURN(fs::path path, path_of(key));
  if (::unlink(path.c_str()) != 0) {
    bool is_absent = errno == ENOENT || errno == ENOTDIR || errno == EISDIR;
    return is_absent ? Status(Ok{}) : errno_error("remove", path, errno);
  }
  std::unique_lock folders_go(folders_);
  for (fs::path dir = path.parent_path(); dir != root_ && ::rmdir(dir.c_str()) == 0; dir = dir.parent_path()) {
  }
  return Ok{};
}

// One sync of a folder for all that left it. A folder that went with its last file left the one above.
Status LocalStore::remove_many(std::span<const std::string> keys) {
  std::set<fs::path> folders;
  for (const std::string& key : keys) {
    QUARRY_RETURN_IF_ERROR(remove(key));
    fs::path folder = (root_ / fs::path(key)).parent_path();
    for (std::error_code error; folder != root_ && !fs::exists(folder, error);) folder = folder.parent_path();
    folders.insert(std::move(folder));
  }
  for (const fs::path& folder : folders) {
    Status synced = sync_directory(folder);
    std::error_code error;
    if (!synced.ok() && fs::exists(folder, error)) return synced;  // another removal took it away
  }
  return Ok{};
}

// The names of a folder's files and folders, ascending; folders end in '/', which puts them where their keys sort.
Result<std::vector<std::string>> read_folder(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code error, vanished;
  fs::directory_iterator it(dir, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    if (it->is_symlink(vanished)) continue;
    bool is_folder = it->is_directory(vanished);
    if (is_folder || it->is_regular_file(vanished)) names.push_back(it->path().filename().string() + (is_folder ? "/" : ""));
  }
  if (error && error.value() != ENOENT && error.value() != ENOTDIR) return errno_error("list", dir, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

Status LocalStore::visit_file(std::string key, Walk& walk) const {
  fs::path path = root_ / fs::path(key);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return errno == ENOENT || errno == ENOTDIR ? Status(Ok{}) : errno_error("stat", path, errno);
  QUARRY_ASSIGN_OR_RETURN(bool more, walk.visit({std::move(key), static_cast<uint64_t>(info.st_size), modified_us(info)}));
  walk.ended = !more;
  return Ok{};
}

// `dir` is empty or ends in '/'. Recursion is as deep as a key has segments.
Status LocalStore::walk_folder(const std::string& dir, Walk& walk) const {
  QUARRY_ASSIGN_OR_RETURN(auto names, read_folder(root_ / fs::path(dir)));
  for (const std::string& name : names) {
    if (walk.ended) return Ok{};
    std::string key = dir + name;
    bool is_folder = key.back() == '/';
    if (is_folder && dir.empty() && name.substr(0, name.size() - 1) == kTemporaryDir) continue;
    bool may_match = key.starts_with(walk.prefix) || (is_folder && walk.prefix.starts_with(key));
    if (!may_match) continue;
    if (!is_folder) {
      if (key > walk.after) QUARRY_RETURN_IF_ERROR(visit_file(std::move(key), walk));
      continue;
    }
    bool all_before = walk.after > key && !walk.after.starts_with(key);
    if (!all_before) QUARRY_RETURN_IF_ERROR(walk_folder(key, walk));
  }
  return Ok{};
}

Status LocalStore::walk_after(std::string_view prefix, std::string_view after, const Visit& visit) const {
  size_t slash = prefix.rfind('/');
  std::string dir;
  if (slash != std::string_view::npos) {
    if (!path_of(prefix.substr(0, slash)).ok()) return Ok{};  // no key starts like that
    if (!is_read_only_) dir = prefix.substr(0, slash + 1);    // else from the root on, so that links on the way are seen
  }
  Walk walk{prefix, after, visit};
  return walk_folder(dir, walk);
}

Result<std::vector<ObjectInfo>> LocalStore::list(std::string_view prefix, std::string_view after, size_t limit) {
  std::vector<ObjectInfo> found;
  if (limit == 0) return found;
  QUARRY_RETURN_IF_ERROR(walk_after(prefix, after, [&](const ObjectInfo& info) -> Result<bool> {
    found.push_back(info);
    return found.size() < limit;
  }));
  return found;
}

Result<fs::path> absolute_folder(const fs::path& root) {
  std::error_code error;
  fs::path absolute = fs::absolute(root, error).lexically_normal();
  if (error) return errno_error("resolve", root, error.value());
  return absolute.has_filename() ? absolute : absolute.parent_path();  // "/data/" -> "/data"
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
  QUARRY_ASSIGN_OR_RETURN(fs::path absolute, absolute_folder(root));
  QUARRY_RETURN_IF_ERROR(make_directories(absolute / kTemporaryDir));
  remove_garbage(absolute / kTemporaryDir);
  return std::unique_ptr<ObjectStore>(std::make_unique<LocalStore>(std::move(absolute), false));
}

Result<std::unique_ptr<ObjectStore>> open_local_reader(const fs::path& root) {
  QUARRY_ASSIGN_OR_RETURN(fs::path absolute, absolute_folder(root));
  std::error_code error;
  if (!fs::is_directory(absolute, error)) return bad_request(fmt::format("{} is no folder", absolute.string()));
  return std::unique_ptr<ObjectStore>(std::make_unique<LocalStore>(std::move(absolute), true));
}

}  // namespace quarry::objects

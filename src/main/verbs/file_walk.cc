#include "main/verbs/file_walk.h"

#include <fmt/format.h>

#include "extract/extract.h"

namespace quarry::verbs {
namespace fs = std::filesystem;

Result<std::vector<FoundFile>> walk_files(const fs::path& root) {
  std::error_code ec;
  fs::file_status status = fs::status(root, ec);
  if (ec || !fs::exists(status)) return not_found(fmt::format("{}: no such file or folder", root.string()));
  std::vector<FoundFile> files;
  if (fs::is_regular_file(status)) {
    files.push_back({root, root.filename().string(), fs::file_size(root, ec)});
    return files;
  }
  auto walk = fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied, ec);
  if (ec) return storage_error(fmt::format("{}: {}", root.string(), ec.message()));
  for (auto it = fs::begin(walk); it != fs::end(walk); it.increment(ec)) {
    if (ec) return storage_error(fmt::format("{}: {}", root.string(), ec.message()));
    bool hidden = it->path().filename().string().starts_with(".");
    if (hidden && it->is_directory(ec)) it.disable_recursion_pending();
    if (hidden || it->is_symlink(ec) || !it->is_regular_file(ec)) continue;
    files.push_back({it->path(), fs::relative(it->path(), root, ec).generic_string(), it->file_size(ec)});
  }
  std::sort(files.begin(), files.end(), [](const FoundFile& a, const FoundFile& b) { return a.relative < b.relative; });
  return files;
}

FileKind tell_kind(std::string_view bytes, const std::string& name) {
  std::string mime = extract::detect_mime_type(bytes, name);
  if (mime == "application/pdf") return {"pdf", "document", mime};
  for (const char* media : {"image", "audio", "video"})
    if (mime.starts_with(std::string(media) + "/")) return {media, media, mime};
  bool text = mime.starts_with("text/") || mime == "application/json" || mime == "application/xml";
  return text ? FileKind{"text", "content", mime} : FileKind{"other", "", mime};
}

}  // namespace quarry::verbs

// The files of a folder as ingest sees them: in a stable order, each told by its content.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace quarry::verbs {

struct FoundFile {
  std::filesystem::path path;  // where it can be read
  std::string relative;        // '/'-separated, as shown and stored
  uint64_t size = 0;
};

// Regular files below `root` (or `root` itself), hidden ones and symbolic links left out, sorted by relative path.
Result<std::vector<FoundFile>> walk_files(const std::filesystem::path& root);

struct FileKind {
  std::string kind;      // "text", "pdf", "image", "audio", "video" or "other"
  std::string property;  // of the file bucket: "content", "document", "image", ...
  std::string mime_type;
};
FileKind tell_kind(std::string_view bytes, const std::string& name);

}  // namespace quarry::verbs

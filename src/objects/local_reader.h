// A folder of files as an object store that is only read.
#pragma once

#include "objects/object_store.h"

namespace quarry::objects {

// `root` must be there, else kBadRequest. Nothing is written into it, and writing is refused with kBadRequest. No symbolic link below it is
// followed, even if one takes a folder's place meanwhile: what lies behind it is absent, so a key leads nowhere but where it says. Files
// are reached through the store alone: there is no local_path().
Result<std::unique_ptr<ObjectStore>> open_local_reader(const std::filesystem::path& root);

}  // namespace quarry::objects

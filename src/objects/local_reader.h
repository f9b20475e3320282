// A folder of files as an object store that is only read.
#pragma once

#include "objects/object_store.h"

namespace quarry::objects {

// `root` must be there, else kBadRequest. Nothing is written into it, and writing is refused with kBadRequest. A key that names a symbolic
// link is absent to head(), walk() and list().
Result<std::unique_ptr<ObjectStore>> open_local_reader(const std::filesystem::path& root);

}  // namespace quarry::objects

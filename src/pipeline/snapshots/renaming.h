// New ids for what is brought back into another namespace. An id is unique in its organization, so the copies need ids of their own.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "catalog/catalog.h"

namespace quarry::pipeline {

// The new ids are functions of the old ones and of the restore's task, so that a repeated step gives the same. Thread-safe once made.
class Renaming {
 public:
  // From and to: the key prefixes of the namespaces, "{internal_id}/{namespace_id}/".
  Renaming(std::string seed, std::string from_prefix, std::string to_prefix)
      : seed_(std::move(seed)), from_prefix_(std::move(from_prefix)), to_prefix_(std::move(to_prefix)) {}

  // A bucket, collection, retriever or event of the snapshot. Others that a text names are left alone; objects need no announcement.
  void add(std::string id) { known_.insert(std::move(id)); }

  // Every id in it, alone or as a part.
  std::string text(std::string_view text) const;
  // A key of the namespace's blobs, as the copy's namespace has it.
  std::string key(std::string_view key) const;
  // All of a resource but what users wrote: an object's own fields, and the texts and properties of its blobs.
  void apply(catalog::Resource& resource) const;

 private:
  std::string id(std::string_view old) const;
  void apply(json::value& value) const;
  void apply_to_object(json::object& body) const;

  const std::string seed_, from_prefix_, to_prefix_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace quarry::pipeline

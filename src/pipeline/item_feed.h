// The pending items of a task, page by page, in order.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "catalog/catalog.h"

namespace quarry::pipeline {

// Used by one thread.
class ItemFeed {
 public:
  ItemFeed(catalog::Catalog& catalog, std::string task_id, size_t page_size)
      : catalog_(catalog), task_id_(std::move(task_id)), page_size_(page_size) {}

  bool has_loaded() const { return !loaded_.empty(); }
  bool exhausted() const { return loaded_.empty() && at_end_; }
  // Loads the next page; the page's items, for whoever wants to know what comes. `open` is how many items were popped and are not recorded
  // yet: they are still pending in the catalog and, by their positions, come first.
  Result<const std::deque<catalog::WorkItem>*> load(size_t open);
  catalog::WorkItem pop();  // has_loaded()

 private:
  catalog::Catalog& catalog_;
  const std::string task_id_;
  const size_t page_size_;
  std::deque<catalog::WorkItem> loaded_;
  bool at_end_ = false;
};

}  // namespace quarry::pipeline

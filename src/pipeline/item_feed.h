// The pending items of a task, page by page, in order.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "catalog/catalog.h"

namespace quarry::pipeline {

// Used by one thread. Pages over all items, so that items which are finished meanwhile do not move the pages.
class ItemFeed {
 public:
  ItemFeed(catalog::Catalog& catalog, std::string task_id, size_t page_size) : catalog_(catalog), task_id_(std::move(task_id)), page_size_(page_size) {}

  bool has_loaded() const { return !loaded_.empty(); }
  bool exhausted() const { return loaded_.empty() && at_end_; }
  // Loads until there is a pending item or the end; the page's items, for whoever wants to know what comes.
  Result<const std::deque<catalog::WorkItem>*> load();
  catalog::WorkItem pop();  // has_loaded()

 private:
  catalog::Catalog& catalog_;
  const std::string task_id_;
  const size_t page_size_;
  std::deque<catalog::WorkItem> loaded_;
  size_t offset_ = 0;
  bool at_end_ = false;
};

}  // namespace quarry::pipeline

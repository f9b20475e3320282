#include "pipeline/item_feed.h"

namespace quarry::pipeline {

Result<const std::deque<catalog::WorkItem>*> ItemFeed::load(size_t open) {
  QUARRY_CHECK(loaded_.empty());
  std::vector<catalog::WorkItem> page;
  QUARRY_RETURN_IF_ERROR(catalog_.read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(page, session.list_items(task_id_, catalog::ItemStatus::kPending, open, page_size_));
    return Ok{};
  }));
  at_end_ = page.size() < page_size_;
  for (catalog::WorkItem& item : page) loaded_.push_back(std::move(item));
  return &loaded_;
}

catalog::WorkItem ItemFeed::pop() {
  QUARRY_CHECK(!loaded_.empty());
  catalog::WorkItem item = std::move(loaded_.front());
  loaded_.pop_front();
  return item;
}

}  // namespace quarry::pipeline

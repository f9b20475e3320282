// Lists take limit/offset, page/page_size or cursor, in the query or the body (the body wins), and answer with the contract's
// PaginationResponse.
#pragma once

#include "service/service.h"

namespace quarry::service {

struct PageRequest {
  size_t offset = 0;
  size_t limit = 100;
  std::string after;  // what a cursor says, in the words of the list that made it; then offset is 0
  bool include_total = true;
};

// 422 for values out of range or a cursor that is not ours. limit 1..1,000, offset 0..10,000.
Result<PageRequest> parse_page(const Request& request, size_t default_limit = 100);

// {total, page, page_size, total_pages, next_page, previous_page, next_cursor}. If there is more, next_cursor holds `next` (empty: this
// list has no cursors), and next_page is there as far as offsets go.
json::object pagination(const PageRequest& page, size_t returned, bool has_more, std::optional<uint64_t> total, std::string_view next);

}  // namespace quarry::service

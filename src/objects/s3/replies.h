// What the store answered, as values. Pure: no I/O.
#pragma once

#include "objects/s3/transport.h"
#include "objects/s3/xml.h"

namespace quarry::objects::s3 {

struct ListPage {
  std::vector<ObjectInfo> objects;
  std::string continuation;  // asks for the next page; empty on the last
};

// `root` ("" or "prefix/") is taken off every key. What is no key of ours (a console's folder marker) is left out. kStorage if the reply is
// not a list, or not in the order that S3 promises: general purpose buckets list by bytes, directory buckets of S3 Express do not.
Result<ListPage> parse_list(std::string_view body, std::string_view root);

// The error of a reply to `what` ("put 'a/b'"), whose status is none of success. `place` names the bucket.
//   404 kNotFound, but kStorage with a reason where the bucket is absent; 412 kAlreadyExists; 409, 429, 5xx and a request that timed out
//   kStorage, to be repeated; keys that the store can't hold kBadRequest; everything else kStorage with details.reason, not to be repeated.
Error reply_error(const HttpReply& reply, std::string_view what, std::string_view place);

// Whether a store that keeps keys as files refused one because a folder stands in its place.
bool is_folder_conflict(const HttpReply& reply);

// S3 answers some requests with 200 before it knows the outcome; then the body may be an <Error>.
bool is_error_body(std::string_view body);

// The keys that a batch delete did not remove, as one kStorage error; ok if there are none.
Status parse_delete_result(std::string_view body, std::string_view place);

Result<std::string> parse_upload_id(std::string_view body);

}  // namespace quarry::objects::s3

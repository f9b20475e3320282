#include "objects/s3/multipart.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "objects/s3/replies.h"

namespace quarry::objects::s3 {
namespace {

constexpr uint64_t kMaxParts = 10'000;
constexpr size_t kPartsAtOnce = 4;
constexpr int kPartAttempts = 3;

class Upload {
 public:
  Upload(Client& client, std::string_view key, std::string_view bytes)
      : client_(client), key_(key), bytes_(bytes), part_bytes_(part_size(bytes.size(), client.options().part_bytes)) {
    etags_.resize((bytes.size() + part_bytes_ - 1) / part_bytes_);
  }

  Status run() {
    QUARRY_RETURN_IF_ERROR(begin());
    send_all();
    Status outcome = failed_ ? Status(error_) : complete();
    if (!outcome.ok()) abort();
    return outcome;
  }

 private:
  std::string what(std::string_view step) const { return fmt::format("put '{}', {}", key_, step); }

  Status begin() {
    QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send({.method = "POST", .key = key_, .query = {{"uploads", ""}}}));
    if (reply.status != 200) return reply_error(reply, what("beginning"), client_.place());
    QUARRY_ASSIGN_OR_RETURN(upload_id_, parse_upload_id(reply.body));
    return Ok{};
  }

  void send_all() {
    std::vector<std::thread> threads;
    const size_t helpers = std::min(kPartsAtOnce, etags_.size()) - 1;
    for (size_t i = 0; i < helpers; ++i) threads.emplace_back([this] { send_parts(); });
    send_parts();
    for (std::thread& thread : threads) thread.join();
  }

  void send_parts() {
    for (size_t i = next_.fetch_add(1); i < etags_.size() && !failed_; i = next_.fetch_add(1)) {
      Status sent = send_part(i);
      for (int attempt = 1; attempt < kPartAttempts && !sent.ok() && !sent.error().details.contains("reason"); ++attempt)
        sent = send_part(i);
      if (sent.ok() || failed_.exchange(true)) continue;
      error_ = std::move(sent).error();  // read after the threads have ended
    }
  }

  Status send_part(size_t index) {
    Call call{.method = "PUT", .key = key_};
    call.query = {{"partNumber", std::to_string(index + 1)}, {"uploadId", upload_id_}};
    call.body = bytes_.substr(index * part_bytes_, part_bytes_);
    QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send(call));
    if (reply.status != 200) return reply_error(reply, what(fmt::format("part {}", index + 1)), client_.place());
    etags_[index] = reply.header("etag");
    if (etags_[index].empty()) return storage_error(what(fmt::format("part {}: the store gave no ETag", index + 1)));
    return Ok{};
  }

  Status complete() {
    std::string body = "<CompleteMultipartUpload>";
    for (size_t i = 0; i < etags_.size(); ++i)
      body += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, xml_escape(etags_[i]));
    body += "</CompleteMultipartUpload>";
    Call call{.method = "POST", .key = key_, .query = {{"uploadId", upload_id_}}, .body = body};
    QUARRY_ASSIGN_OR_RETURN(HttpReply reply, client_.send(call));
    if (reply.status != 200) return reply_error(reply, what("completing"), client_.place());
    if (is_error_body(reply.body)) {
      reply.status = 500;
      return reply_error(reply, what("completing"), client_.place());
    }
    return Ok{};
  }

  // Its outcome does not matter: after a completion whose reply was lost there is nothing to give up.
  void abort() { (void)client_.send({.method = "DELETE", .key = key_, .query = {{"uploadId", upload_id_}}}); }

  Client& client_;
  const std::string_view key_, bytes_;
  const uint64_t part_bytes_;
  std::string upload_id_;
  std::vector<std::string> etags_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> failed_{false};
  Error error_;
};

}  // namespace

uint64_t part_size(uint64_t size, uint64_t wanted) { return std::max(wanted, (size + kMaxParts - 1) / kMaxParts); }

Status put_in_parts(Client& client, std::string_view key, std::string_view bytes) { return Upload(client, key, bytes).run(); }

}  // namespace quarry::objects::s3

#include <fmt/format.h>

#include <cstdio>
#include <thread>
#include <unordered_map>

#include "base/file.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "main/progress.h"
#include "main/verbs/ensure.h"
#include "main/verbs/file_walk.h"
#include "main/verbs/verbs.h"

namespace quarry::verbs {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxInlineBytes = 8ull << 20;    // larger files go by presigned upload, as does text that is not UTF-8
constexpr uint64_t kMaxRequestBytes = 24ull << 20;  // of one objects/batch request
constexpr size_t kMaxRequestObjects = 100;          // the contract's bound
constexpr uint64_t kMaxFileBytes = 512ull << 20;

// What the bucket holds already, by path: a run that was interrupted goes on where it stopped.
struct KnownObject {
  std::string object_id, content_hash, status, kind;
};
using KnownObjects = std::unordered_map<std::string, KnownObject>;

Result<KnownObjects> list_known(Client& client, const std::string& bucket) {
  KnownObjects known;
  std::string cursor;
  do {
    std::string path = fmt::format("/v1/buckets/{}/objects/list?limit=1000{}", bucket, cursor.empty() ? "" : "&cursor=" + cursor);
    QUARRY_ASSIGN_OR_RETURN(json::value page, client.call("POST", path, json::object{}));
    for (const auto& o : array_of(page, "results"))
      known[text_of(o, "path")] = {text_of(o, "object_id"), text_of(o, "content_hash"), text_of(o, "status"), text_of(o, "kind")};
    const auto* pagination = page.as_object().if_contains("pagination");
    cursor = pagination == nullptr ? "" : text_of(*pagination, "next_cursor");
  } while (!cursor.empty());
  return known;
}

struct Tally {
  uint64_t added = 0, unchanged = 0, skipped = 0, failed = 0, bytes = 0;
};

// Reads files, tells their kinds, sends them in groups; collects the ids of objects whose text is to be extracted.
class Uploader {
 public:
  Uploader(Client& client, std::string bucket, KnownObjects known)
      : client_(client), bucket_(std::move(bucket)), known_(std::move(known)) {}

  Status add(const FoundFile& file) {
    if (!is_valid_utf8(file.relative)) return skip(file, "its name is not UTF-8");
    if (file.size > kMaxFileBytes) return skip(file, "larger than 512 MiB");
    auto bytes = read_file(file.path);
    if (!bytes.ok()) return skip(file, bytes.error().message);
    if (bytes->empty()) return skip(file, "empty");
    FileKind kind = tell_kind(*bytes, file.relative);
    if (kind.kind == "other") return skip(file, "not a text, PDF, image, sound or video (" + kind.mime_type + ")");
    std::string hash = sha256_hex(*bytes);
    auto it = known_.find(file.relative);
    if (it != known_.end() && it->second.content_hash == hash) return keep(it->second);
    if (it != known_.end()) QUARRY_RETURN_IF_ERROR(remove(it->second));
    return send(file, kind, hash, std::move(bytes).value());
  }

  Status flush() {
    if (pending_.empty()) return Ok{};
    json::object body{{"objects", std::move(pending_)}};
    pending_ = {};
    pending_bytes_ = 0;
    QUARRY_ASSIGN_OR_RETURN(json::value reply, client_.call("POST", fmt::format("/v1/buckets/{}/objects/batch", bucket_), body));
    for (const auto& o : array_of(reply, "succeeded")) note_added(o);
    for (const auto& f : array_of(reply, "failed")) {
      ++tally_.failed;
      std::fprintf(stderr, "  not stored: %s\n", text_of(f, "error").c_str());
    }
    return Ok{};
  }

  const Tally& tally() const { return tally_; }
  std::vector<std::string> take_to_process() { return std::move(to_process_); }

 private:
  Status skip(const FoundFile& file, const std::string& reason) {
    ++tally_.skipped;
    std::fprintf(stderr, "  skipped %s: %s\n", file.relative.c_str(), reason.c_str());
    return Ok{};
  }

  Status keep(const KnownObject& object) {
    ++tally_.unchanged;
    bool wants_text = object.kind == "text" || object.kind == "pdf";
    if (wants_text && object.status != "COMPLETED") to_process_.push_back(object.object_id);
    return Ok{};
  }

  Status remove(const KnownObject& object) {
    auto removed = client_.call("DELETE", fmt::format("/v1/buckets/{}/objects/{}", bucket_, object.object_id));
    if (!removed.ok() && removed.error().kind != ErrorKind::kNotFound) return std::move(removed).error();
    return Ok{};
  }

  Status send(const FoundFile& file, const FileKind& kind, const std::string& hash, std::string bytes) {
    tally_.bytes += bytes.size();
    json::object blob{{"property", kind.property},
                      {"type", kind.kind == "text" ? "text" : kind.kind},
                      {"metadata", {{"filename", fs::path(file.relative).filename().string()}}}};
    bool is_json_text = kind.kind != "text" || is_valid_utf8(bytes);
    if (bytes.size() > kMaxInlineBytes || !is_json_text) {
      QUARRY_ASSIGN_OR_RETURN(std::string upload_id, upload(file, kind, bytes));
      blob["upload_id"] = upload_id;
      bytes.clear();
    } else {
      blob["data"] = kind.kind == "text" ? std::move(bytes) : base64_encode(bytes);
    }
    json::object object{{"path", file.relative},
                        {"kind", kind.kind},
                        {"content_hash", hash},
                        {"content_type", kind.mime_type},
                        {"blobs", json::array{blob}}};
    if (pending_.size() >= kMaxRequestObjects || pending_bytes_ + file.size > kMaxRequestBytes) QUARRY_RETURN_IF_ERROR(flush());
    pending_.push_back(std::move(object));
    pending_bytes_ += file.size;
    return Ok{};
  }

  Result<std::string> upload(const FoundFile& file, const FileKind& kind, std::string_view bytes) {
    json::object body{
        {"filename", fs::path(file.relative).filename().string()}, {"content_type", kind.mime_type}, {"create_object_on_confirm", false}};
    QUARRY_ASSIGN_OR_RETURN(json::value made, client_.call("POST", fmt::format("/v1/buckets/{}/uploads", bucket_), body));
    QUARRY_RETURN_IF_ERROR(client_.put_bytes(text_of(made, "presigned_url"), bytes, kind.mime_type));
    std::string id = text_of(made, "upload_id");
    auto confirmed = client_.call("POST", fmt::format("/v1/buckets/{}/uploads/{}/confirm", bucket_, id), json::object{});
    if (!confirmed.ok()) return std::move(confirmed).error();
    return id;
  }

  void note_added(const json::value& object) {
    ++tally_.added;
    std::string kind = text_of(object, "kind");
    if (kind == "text" || kind == "pdf") to_process_.push_back(text_of(object, "object_id"));
  }

  Client& client_;
  const std::string bucket_;
  KnownObjects known_;
  json::array pending_;
  uint64_t pending_bytes_ = 0;
  std::vector<std::string> to_process_;
  Tally tally_;
};

bool is_terminal_name(const std::string& status) {
  return status == "COMPLETED" || status == "COMPLETED_WITH_ERRORS" || status == "FAILED" || status == "CANCELED";
}

void print_failures(Client& client, const std::string& bucket, const std::string& batch_id) {
  auto failed = client.call("GET", fmt::format("/v1/buckets/{}/batches/{}/failed-documents", bucket, batch_id));
  if (!failed.ok()) return;
  for (const auto& f : array_of(*failed, "results"))
    std::fprintf(stderr, "  failed %s: %s\n", text_of(f, "object_id").c_str(), text_of(f, "error").c_str());
}

// Polls until the batch ends; the server works on when this client goes away.
Status follow_batch(Client& client, const std::string& bucket, const std::string& batch_id) {
  ProgressBar bar("extracting", "objects");
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(json::value batch, client.call("GET", fmt::format("/v1/buckets/{}/batches/{}", bucket, batch_id)));
    const auto* progress = batch.as_object().if_contains("progress");
    json::value none = json::object{};
    const json::value& p = progress != nullptr ? *progress : none;
    int64_t written = integer_of(p, "documents_written");
    bar.update(static_cast<uint64_t>(integer_of(p, "processed")), static_cast<uint64_t>(integer_of(p, "total")),
               fmt::format("{} documents", written));
    std::string status = text_of(batch, "status");
    if (is_terminal_name(status)) {
      bar.finish();
      if (status != "COMPLETED") {
        std::fprintf(stderr, "batch %s ended %s %s\n", batch_id.c_str(), status.c_str(), text_of(batch, "error").c_str());
        print_failures(client, bucket, batch_id);
      }
      if (status == "FAILED") return Error{ErrorKind::kProcessing, "no object could be processed"};
      return Ok{};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

Status process(Client& client, const std::string& bucket, const std::vector<std::string>& object_ids) {
  json::array ids(object_ids.begin(), object_ids.end());
  QUARRY_ASSIGN_OR_RETURN(json::value batch,
                          client.call("POST", fmt::format("/v1/buckets/{}/batches", bucket), json::object{{"object_ids", std::move(ids)}}));
  std::string id = text_of(batch, "batch_id");
  QUARRY_ASSIGN_OR_RETURN(json::value task,
                          client.call("POST", fmt::format("/v1/buckets/{}/batches/{}/submit", bucket, id), json::object{}));
  return follow_batch(client, bucket, id);
}

// "My Files" -> "my_files"
std::string slug(const fs::path& path) {
  std::error_code ec;
  fs::path absolute = fs::weakly_canonical(path, ec);
  std::string name = absolute.filename().string();
  for (char& c : name)
    c = std::isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '_';
  return name.size() < 3 ? "files_" + name : name.substr(0, 60);
}

Status run(Client& client, const IngestOptions& options) {
  std::string bucket = options.bucket_name.empty() ? slug(options.path) : options.bucket_name;
  std::string collection = options.collection_name.empty() ? bucket + "_text" : options.collection_name;
  QUARRY_ASSIGN_OR_RETURN(auto files, walk_files(options.path));
  client.use_namespace("");
  QUARRY_RETURN_IF_ERROR(ensure_namespace(client, options.namespace_name));
  client.use_namespace(options.namespace_name);
  QUARRY_RETURN_IF_ERROR(ensure_file_bucket(client, bucket));
  QUARRY_RETURN_IF_ERROR(ensure_text_collection(client, bucket, collection));
  QUARRY_ASSIGN_OR_RETURN(KnownObjects known, list_known(client, bucket));

  Uploader uploader(client, bucket, std::move(known));
  ProgressBar bar("storing   ", "files");
  for (size_t i = 0; i < files.size(); ++i) {
    QUARRY_RETURN_IF_ERROR(uploader.add(files[i]));
    bar.update(i + 1, files.size());
  }
  QUARRY_RETURN_IF_ERROR(uploader.flush());
  bar.finish();
  const Tally& t = uploader.tally();
  std::printf("%s: %lu files added (%.1f MB), %lu unchanged, %lu skipped, %lu refused -> namespace %s, bucket %s, collection %s\n",
              options.path.c_str(), t.added, static_cast<double>(t.bytes) / 1e6, t.unchanged, t.skipped, t.failed,
              options.namespace_name.c_str(), bucket.c_str(), collection.c_str());
  auto ids = uploader.take_to_process();
  return ids.empty() ? Status(Ok{}) : process(client, bucket, ids);
}

}  // namespace

int ingest(const Config& config, const IngestOptions& options) {
  auto credentials = find_credentials(config);
  if (!credentials.ok()) return fail(credentials.error());
  IngestOptions chosen = options;
  if (!credentials->namespace_.empty()) chosen.namespace_name = credentials->namespace_;
  Client client(*credentials);
  Status done = run(client, chosen);
  if (!done.ok()) return fail(done.error());
  // The verbs that follow look where this one wrote.
  if (credentials->namespace_.empty() && config.origin("api_key") == "default") {
    credentials->namespace_ = chosen.namespace_name;
    Status saved = write_credentials(credentials_file(config), *credentials);
    if (!saved.ok()) return fail(saved.error());
  }
  return 0;
}

}  // namespace quarry::verbs

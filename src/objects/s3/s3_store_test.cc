// What is particular to S3: against a real server where it can be, against a scripted one where a server must misbehave.
#include <gtest/gtest.h>

#include "objects/fetcher.h"
#include "objects/s3/client.h"
#include "objects/s3/multipart.h"
#include "objects/test_s3_server.h"

namespace quarry::objects {
namespace {

std::unique_ptr<ObjectStore> open(S3Options options) {
  auto opened = open_s3_store(std::move(options));
  EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
  return std::move(opened).value();
}

template <typename T>
std::string reason_of(const Result<T>& result) {
  if (result.ok()) return "ok";
  const auto* reason = result.error().details.if_contains("reason");
  return reason == nullptr ? "none" : std::string(reason->as_string());
}

class S3Server : public testing::Test {
 protected:
  void SetUp() override {
    if (TestS3Server::shared() == nullptr) GTEST_SKIP() << "no S3 server is installed: ./run test installs one";
    options_ = TestS3Server::shared()->fresh_bucket();
  }
  s3::HttpReply send_plain(const std::string& method, const std::string& url, std::string_view body = "") {
    s3::Transport transport({});
    auto reply = transport.send({.method = method, .url = url, .body = body, .max_reply_bytes = 1 << 20});
    EXPECT_TRUE(reply.ok()) << (reply.ok() ? "" : reply.error().message);
    return reply.ok() ? *reply : s3::HttpReply{};
  }
  S3Options options_;
};

TEST_F(S3Server, WrongSettingsAreToldApartAndNotRetried) {
  ASSERT_EQ(reason_of(open(options_)->list("", "", 1)), "ok");
  S3Options wrong = options_;
  wrong.credentials.secret_access_key = "wrong";
  auto refused = open(wrong)->put("a", "x");
  EXPECT_EQ(reason_of(refused), "SignatureDoesNotMatch");
  EXPECT_NE(refused.error().message.find("objects.secret_access_key"), std::string::npos) << refused.error().message;
  wrong = options_;
  wrong.credentials.access_key_id = "nobody";
  EXPECT_EQ(reason_of(open(wrong)->get("a")), "XAdminUserNotFound");  // versitygw's word for InvalidAccessKeyId, a 404
  wrong = options_;
  wrong.bucket = "no-such-bucket";
  for (const auto& reason :
       {reason_of(open(wrong)->get("a")), reason_of(open(wrong)->put("a", "x")), reason_of(open(wrong)->list("", "", 1))})
    EXPECT_EQ(reason, "NoSuchBucket");
}

TEST_F(S3Server, AClockThatIsOffIsNamed) {
  ManualClock clock(system_clock().now_us() - int64_t{3'600'000'000});
  options_.clock = &clock;
  auto refused = open(options_)->get("a");
  EXPECT_EQ(reason_of(refused), "RequestTimeTooSkewed") << refused.error().message;
}

TEST_F(S3Server, TheProbeFindsItAtomicAndLeavesNothing) {
  auto store = open(options_);
  Status probed = probe_store(*store, "probe/");
  EXPECT_TRUE(probed.ok()) << (probed.ok() ? "" : probed.error().message);
  EXPECT_TRUE(store->list("", "", 10)->empty());
}

TEST_F(S3Server, PresignedUrlsNeedNoCredentials) {
  options_.prefix = "p q";
  auto store = open(options_);
  const std::string key = "a b/c+d&e.txt";
  auto put_url = store->presign_put(key, 60), get_url = store->presign_get(key, 60);
  ASSERT_TRUE(put_url && get_url);
  EXPECT_EQ(send_plain("PUT", *put_url, "bytes").status, 200);
  EXPECT_EQ(*store->get(key), "bytes");
  auto read = send_plain("GET", *get_url);
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.body, "bytes");
  EXPECT_EQ(send_plain("PUT", *get_url, "other").status, 403) << "a URL holds for one method";
  std::string elsewhere = *get_url;
  elsewhere.replace(elsewhere.find("c%2Bd"), 5, "x");
  EXPECT_EQ(send_plain("GET", elsewhere).status, 403) << "and for one key";
  ManualClock yesterday(system_clock().now_us() - int64_t{86'400'000'000});
  options_.clock = &yesterday;
  EXPECT_EQ(send_plain("GET", *open(options_)->presign_get(key, 60)).status, 403) << "and for its time";
}

TEST_F(S3Server, LargeObjectsGoInParts) {
  options_.multipart_bytes = 1 << 20;
  options_.part_bytes = 5 << 20;
  auto store = open(options_);
  std::string bytes(17'000'001, '\0');
  for (size_t i = 0; i < bytes.size(); i += 997) bytes[i] = static_cast<char>(i / 997);
  ASSERT_TRUE(store->put("large object", bytes).ok());
  EXPECT_EQ(store->head("large object")->size, bytes.size());
  EXPECT_EQ(*store->get_range("large object", (5 << 20) - 10, 20), bytes.substr((5 << 20) - 10, 20));
  EXPECT_TRUE(*store->get("large object") == bytes);
  s3::Client client(options_);
  auto uploads = client.send({.method = "GET", .query = {{"uploads", ""}}});
  EXPECT_EQ(uploads->body.find("<Upload>"), std::string::npos) << "an upload was left open";
  auto etag = client.send({.method = "HEAD", .key = "large object"});
  EXPECT_NE(etag->header("etag").find("-4"), std::string::npos) << "four parts: " << etag->header("etag");
}

TEST(S3Parts, GrowWithTheObject) {
  EXPECT_EQ(s3::part_size(100 << 20, 16 << 20), 16u << 20);
  const uint64_t large = 5ull << 40;
  EXPECT_LE((large + s3::part_size(large, 16 << 20) - 1) / s3::part_size(large, 16 << 20), 10'000u);
}

TEST_F(S3Server, RemovesManyAtOnce) {
  auto store = open(options_);
  std::vector<std::string> keys{"plain", "a & <b>", "\xc3\xa9/'\"", "absent"};
  for (size_t i = 0; i + 1 < keys.size(); ++i) ASSERT_TRUE(store->put(keys[i], "x").ok());
  ASSERT_TRUE(store->put("stays", "x").ok());
  Status removed = store->remove_many(keys);
  ASSERT_TRUE(removed.ok()) << removed.error().message;
  auto left = store->list("", "", 10);
  ASSERT_EQ(left->size(), 1u);
  EXPECT_EQ((*left)[0].key, "stays");
  EXPECT_TRUE(store->remove_many({}).ok());
  keys = {"stays", "../x"};
  EXPECT_FALSE(store->remove_many(keys).ok());
  EXPECT_TRUE(store->head("stays").ok()) << "nothing is removed where one key is ill-formed";
}

TEST_F(S3Server, ListsMoreThanOnePageOfTheServer) {
  auto store = open(options_);
  const std::filesystem::path folder = TestS3Server::shared()->bucket_folder(options_.bucket) / "many";
  std::filesystem::create_directory(folder);
  for (int i = 0; i < 1'234; ++i) ASSERT_TRUE(write_file_atomic(folder / std::to_string(10'000 + i), "x").ok());
  auto listed = store->list("many/", "many/10009", 5'000);
  ASSERT_TRUE(listed.ok()) << listed.error().message;
  ASSERT_EQ(listed->size(), 1'224u);
  EXPECT_EQ(listed->front().key, "many/10010");
  EXPECT_EQ(listed->back().key, "many/11233");
}

TEST_F(S3Server, KeysThatNoListCouldHoldAreRefused) {
  EXPECT_EQ(open(options_)->put("a\xef\xbf\xbf", "x").error().kind, ErrorKind::kBadRequest);
}

TEST_F(S3Server, TheBucketMayBePartOfTheHost) {
  options_.endpoint = "http://localhost:" + options_.endpoint.substr(options_.endpoint.rfind(':') + 1);
  options_.addressing = S3Addressing::kVirtual;
  options_.prefix = "deep";
  auto store = open(options_);
  Status put = store->put("a b", "x");
  ASSERT_TRUE(put.ok()) << put.error().message;
  EXPECT_EQ(*store->get("a b"), "x");
  EXPECT_EQ(store->list("", "", 5)->size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(TestS3Server::shared()->bucket_folder(options_.bucket) / "deep" / "a b"));
}

// A server that answers as it is told. Reads whole requests from one connection after the other and keeps each open while it may.
class ScriptedS3 {
 public:
  struct Request {
    std::string head;  // request line and headers
    std::string body;
  };
  // The reply's bytes; "" closes the connection without one.
  using Script = std::function<std::string(const Request&)>;

  explicit ScriptedS3(Script script)
      : script_(std::move(script)),
        server_([this](const std::string& head, int socket) { serve(head, socket); }, TestHttpServer::kWholeHead) {}

  int connections() const { return server_.connections(); }
  S3Options options() const {
    S3Options out;
    out.bucket = "bucket";
    out.endpoint = server_.url("");
    out.credentials = {"id", "secret", "", ""};
    out.timeout_ms = 1'000;
    return out;
  }
  static std::string reply(const std::string& status, std::string_view body = "", const std::string& headers = "") {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + std::string(body);
  }

 private:
  void serve(std::string buffered, int socket) {
    for (;;) {
      const size_t end = buffered.find("\r\n\r\n");
      if (end == std::string::npos) {
        if (!receive(socket, buffered)) return;
        continue;
      }
      Request request{buffered.substr(0, end), buffered.substr(end + 4)};
      const size_t at = request.head.find("Content-Length: ");
      const size_t size = at == std::string::npos ? 0 : std::stoul(request.head.substr(at + 16));
      while (request.body.size() < size)
        if (!receive(socket, request.body)) return;
      buffered = request.body.substr(size);
      request.body.resize(size);
      const std::string answer = script_(request);
      if (answer.empty()) return;
      TestHttpServer::send_all(socket, answer);
    }
  }
  static bool receive(int socket, std::string& into) {
    char buffer[65'536];
    const ssize_t n = ::recv(socket, buffer, sizeof buffer, 0);
    if (n > 0) into.append(buffer, static_cast<size_t>(n));
    return n > 0;
  }

  const Script script_;
  TestHttpServer server_;
};

TEST(ScriptedS3Store, ConnectionsAreKept) {
  ScriptedS3 server([](const auto&) { return ScriptedS3::reply("200 OK", "bytes"); });
  {
    auto store = open(server.options());
    for (int i = 0; i < 5; ++i) EXPECT_EQ(*store->get("a"), "bytes");
    EXPECT_EQ(server.connections(), 1);
  }
}

// The connection dies after the first sending took effect; libcurl sends again over a new one, and that is refused.
TEST(ScriptedS3Store, AWriteThatWasSentTwiceKnowsItself) {
  for (const bool is_ours : {true, false}) {
    std::string stored;
    int puts = 0;
    ScriptedS3 server([&](const ScriptedS3::Request& request) -> std::string {
      if (request.head.starts_with("GET")) return ScriptedS3::reply("200 OK", stored);
      if (request.head.find("if-none-match: *") == std::string::npos) return ScriptedS3::reply("400 Bad Request");
      if (++puts == 1) return ScriptedS3::reply("200 OK");  // so that the connection is a kept one
      if (puts > 2) return ScriptedS3::reply("412 Precondition Failed");
      stored = is_ours ? request.body : "theirs";
      return "";
    });
    auto store = open(server.options());
    ASSERT_TRUE(store->put_if_absent("first", "x").ok());
    Status second = store->put_if_absent("second", "mine");
    EXPECT_EQ(puts, 3) << "the test needs the repetition";
    if (is_ours)
      EXPECT_TRUE(second.ok()) << second.error().message;
    else
      EXPECT_EQ(second.error().kind, ErrorKind::kAlreadyExists);
    store.reset();
  }
}

TEST(ScriptedS3Store, ASilentServerIsATimeoutThatMayPass) {
  ScriptedS3 server([](const auto&) { return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"; });
  auto store = open(server.options());
  auto read = store->get("a");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().kind, ErrorKind::kStorage);
  EXPECT_EQ(reason_of(read), "none") << read.error().message;
  EXPECT_EQ(read.error().message.find("secret"), std::string::npos);
  store.reset();
}

TEST(ScriptedS3Store, RepliesAreLimited) {
  ScriptedS3 server([](const auto&) { return ScriptedS3::reply("200 OK", std::string(10'000, 'x')); });
  S3Options options = server.options();
  options.max_object_bytes = 9'999;
  auto store = open(options);
  EXPECT_EQ(reason_of(store->get("a")), "too_large");
  store.reset();
}

TEST(ScriptedS3Store, RangesThatWereNotAskedForAreNoticed) {
  std::string answer;
  ScriptedS3 server([&](const auto&) { return answer; });
  auto store = open(server.options());
  answer = ScriptedS3::reply("200 OK", "0123456789");  // the range is not heeded
  EXPECT_EQ(*store->get_range("a", 3, 4), "3456");
  EXPECT_EQ(*store->get_range("a", 30, 4), "");
  answer = ScriptedS3::reply("206 Partial Content", "3456", "Content-Range: bytes 3-6/10\r\n");
  EXPECT_EQ(*store->get_range("a", 3, 4), "3456");
  EXPECT_FALSE(store->get_range("a", 2, 4).ok());
  EXPECT_FALSE(store->get_range("a", 3, 2).ok());
  answer = ScriptedS3::reply("206 Partial Content", "3456");
  EXPECT_FALSE(store->get_range("a", 3, 4).ok());
  answer = ScriptedS3::reply("416 Range Not Satisfiable");
  EXPECT_EQ(*store->get_range("a", 99, 4), "");
  store.reset();
}

TEST(ScriptedS3Store, ACompletionThatFailsAfterItsStatusIsAFailureAndGivenUp) {
  std::atomic<int> given_up{0}, parts{0};
  std::mutex mutex;
  ScriptedS3 server([&](const ScriptedS3::Request& request) -> std::string {
    std::lock_guard lock(mutex);
    if (request.head.starts_with("DELETE")) return ++given_up, ScriptedS3::reply("204 No Content");
    if (request.head.find("?uploads=") != std::string::npos)
      return ScriptedS3::reply("200 OK", "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>");
    if (request.head.starts_with("PUT")) return ++parts, ScriptedS3::reply("200 OK", "", "ETag: \"e\"\r\n");
    return ScriptedS3::reply("200 OK", "<Error><Code>InternalError</Code><Message>try again</Message></Error>");
  });
  S3Options options = server.options();
  options.multipart_bytes = 10;
  options.connections = 1;  // the scripted server takes one connection at a time
  auto store = open(options);
  Status put = store->put("a", std::string((5 << 20) + 1, 'x').append(12 << 20, 'y'));
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(reason_of(put), "none") << "it may pass: " << put.error().message;
  EXPECT_EQ(parts, 2);
  EXPECT_EQ(given_up, 1);
  store.reset();
}

// A store that takes every put, whatever its condition.
TEST(Probe, FindsAStoreThatIgnoresTheCondition) {
  std::map<std::string, std::string> objects;
  std::mutex mutex;
  ScriptedS3 server([&](const ScriptedS3::Request& request) -> std::string {
    std::lock_guard lock(mutex);
    const std::string path = request.head.substr(request.head.find(' ') + 1, request.head.find(' ', 5) - request.head.find(' ') - 1);
    if (request.head.starts_with("POST")) return ScriptedS3::reply("200 OK", "<DeleteResult/>");
    if (request.head.starts_with("GET")) return ScriptedS3::reply("200 OK", objects[path]);
    objects[path] = request.body;
    return ScriptedS3::reply("200 OK");
  });
  S3Options options = server.options();
  options.connections = 1;
  auto store = open(options);
  Status probed = probe_store(*store, "");
  ASSERT_FALSE(probed.ok());
  EXPECT_EQ(probed.error().kind, ErrorKind::kUnavailable);
  EXPECT_NE(probed.error().message.find("s3://bucket does not keep put-if-absent (an object that existed was overwritten)"),
            std::string::npos)
      << probed.error().message;
  store.reset();
}

}  // namespace
}  // namespace quarry::objects

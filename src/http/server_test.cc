#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "http/fake_api.h"
#include "http/http.h"
#include "http/test_client.h"

namespace quarry::http {
namespace {

constexpr const char* kKey = "Authorization: Bearer good-key\r\n";
constexpr const char* kHealth = "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n";

std::string post(const std::string& path, const std::string& body, const std::string& more = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + kKey + more + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const std::string kBucket = R"({"bucket_name":"b","bucket_schema":{"properties":{}}})";

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options_.io_threads = 2;
    options_.handler_threads = 4;
    options_.max_body_bytes = 1 << 20;
    options_.max_upload_bytes = 4 << 20;
    api_.bind("healthcheck_health", [](const RequestContext&, const service::Request&) -> Result<service::Reply> {
      return service::Reply(json::object{{"status", "ok"}});
    });
    api_.bind("create_bucket", [](const RequestContext&, const service::Request& request) -> Result<service::Reply> {
      return service::Reply(json::object{{"got", request.body}});
    });
    api_.bind("put_presigned", [](const RequestContext&, const service::Request& request) -> Result<service::Reply> {
      return service::Reply(json::object{{"bytes", request.raw_body.size()}});
    });
    api_.bind("get_presigned", [](const RequestContext&, const service::Request&) -> Result<service::Reply> {
      service::Reply reply;
      reply.content_type = "application/octet-stream";
      reply.raw.assign(8 << 20, 'x');
      return reply;
    });
  }
  ~ServerTest() override {
    if (server_) server_->stop(0);
  }

  uint16_t start() {
    auto server = Server::make(options_, api_, contract());
    QUARRY_CHECK(server.ok());
    server_ = std::move(server).value();
    Status started = server_->start();
    QUARRY_CHECK(started.ok());
    return server_->port();
  }
  static std::shared_ptr<const Contract> contract() {
    static const std::shared_ptr<const Contract> loaded = *Contract::load_embedded();
    return loaded;
  }

  Options options_;
  FakeApi api_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, KeepAliveServesManyRequests) {
  TestClient client(start());
  for (int i = 0; i < 100; ++i) {
    ClientReply reply = client.ask(kHealth);
    ASSERT_EQ(reply.status, 200);
    ASSERT_EQ(reply.body, R"({"status":"ok"})");
    ASSERT_TRUE(reply.has("X-Request-Id: req_") && reply.has("Date: "));
  }
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  TestClient client(start());
  std::string all;
  for (int i = 0; i < 50; ++i) {
    std::string id = "X-Request-Id: n" + std::to_string(i) + "\r\n";
    all += i % 3 == 0 ? post("/v1/buckets", kBucket, id) : "GET /v1/health HTTP/1.1\r\nHost: x\r\n" + id + "\r\n";
  }
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 50; ++i) {
    ClientReply reply = client.receive();
    ASSERT_EQ(reply.status, 200) << i;
    ASSERT_TRUE(reply.has("X-Request-Id: n" + std::to_string(i) + "\r\n")) << i;
  }
}

TEST_F(ServerTest, RequestsInPieces) {
  uint16_t port = start();
  std::string request = post("/v1/buckets", kBucket, "X-Request-Id: pieces\r\n");
  for (size_t step : {1u, 7u, 64u}) {
    TestClient client(port);
    for (size_t i = 0; i < request.size(); i += step) ASSERT_TRUE(client.send(request.substr(i, step)));
    ClientReply reply = client.receive();
    EXPECT_EQ(reply.status, 200) << step;
    EXPECT_NE(reply.body.find("\"b\""), std::string::npos);
  }
}

TEST_F(ServerTest, HeadAndHttp10) {
  uint16_t port = start();
  TestClient client(port);
  ASSERT_TRUE(client.send("HEAD /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"));
  ClientReply head = client.receive(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_TRUE(head.has("Content-Length: 15\r\n"));
  EXPECT_EQ(client.ask(kHealth).status, 200) << "no body followed the HEAD reply";
  TestClient old(port);
  EXPECT_EQ(old.ask("GET /v1/health HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_TRUE(old.ended());
  TestClient kept(port);
  EXPECT_TRUE(kept.ask("GET /v1/health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").has("Connection: keep-alive"));
  EXPECT_EQ(kept.ask("GET /v1/health HTTP/1.0\r\n\r\n").status, 200);
}

TEST_F(ServerTest, ConnectionCloseIsObeyed) {
  TestClient client(start());
  ClientReply reply = client.ask("GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(reply.has("Connection: close"));
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, ChunkedBodies) {
  TestClient client(start());
  std::string head = std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "Transfer-Encoding: chunked\r\n\r\n";
  std::string chunks;
  for (size_t i = 0; i < kBucket.size(); i += 10) {
    std::string part = kBucket.substr(i, 10);
    char size[8];
    std::snprintf(size, sizeof size, "%zx", part.size());
    chunks += std::string(size) + ";ext=1\r\n" + part + "\r\n";
  }
  EXPECT_EQ(client.ask(head + chunks + "0\r\nX-Trailer: a\r\nAuthorization: Bearer other\r\n\r\n").status, 200);
  EXPECT_EQ(client.ask(kHealth).status, 200) << "the connection goes on after chunks";
}

TEST_F(ServerTest, ABodyStatedTooLargeIsRefusedUnread) {
  TestClient client(start());
  ClientReply reply = client.ask(std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "Content-Length: 1048577\r\n\r\n");
  EXPECT_EQ(reply.status, 413);
  EXPECT_NE(reply.body.find("PayloadTooLargeError"), std::string::npos);
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, AChunkedBodyIsCutAtTheLimit) {
  TestClient client(start());
  ASSERT_TRUE(client.send(std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "Transfer-Encoding: chunked\r\n\r\n"));
  std::string chunk = "10000\r\n" + std::string(65536, 'a') + "\r\n";
  for (int i = 0; i < 20 && client.send(chunk); ++i) {
  }
  EXPECT_EQ(client.receive().status, 413);
}

TEST_F(ServerTest, UploadsHaveTheirOwnLimit) {
  uint16_t port = start();
  std::string target = "PUT /v1/presigned?key=k&expires=1&signature=s HTTP/1.1\r\nHost: x\r\n";
  TestClient client(port);
  std::string body(3 << 20, '\xff');
  EXPECT_EQ(client.ask(target + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body).body, R"({"bytes":3145728})");
  EXPECT_EQ(client.ask(target + "Content-Length: 4194305\r\n\r\n").status, 413);
}

TEST_F(ServerTest, ExpectContinue) {
  uint16_t port = start();
  TestClient client(port);
  ASSERT_TRUE(client.send(std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey +
                          "Expect: 100-continue\r\nContent-Length: " + std::to_string(kBucket.size()) + "\r\n\r\n"));
  EXPECT_EQ(client.receive().status, 100);
  EXPECT_EQ(client.ask(kBucket).status, 200);
  TestClient refused(port);
  EXPECT_EQ(
      refused
          .ask(std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
          .status,
      413);
}

TEST_F(ServerTest, StrangersMayNotSendLargeBodies) {
  TestClient client(start());
  ClientReply reply = client.ask("POST /v1/buckets HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_EQ(reply.status, 401) << "answered before a byte of the body was sent";
}

TEST_F(ServerTest, BodiesInFlightAreBounded) {
  options_.max_bodies_in_flight_bytes = 1'000'000;
  uint16_t port = start();
  std::string head =
      std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "Content-Length: 900000\r\nExpect: 100-continue\r\n\r\n";
  std::string body = kBucket + std::string(900000 - kBucket.size(), ' ');
  TestClient first(port);
  EXPECT_EQ(first.ask(head).status, 100);
  ASSERT_TRUE(first.send(body.substr(0, 800000)));
  ClientReply refused;
  for (int i = 0; i < 1000 && refused.status != 503; ++i) refused = TestClient(port).ask(head);  // until the first one's bytes have arrived
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.has("Retry-After: "));
  EXPECT_EQ(first.ask(body.substr(800000)).status, 200);
  TestClient third(port);
  EXPECT_EQ(third.ask(head).status, 100) << "what the first held is free again";
}

TEST_F(ServerTest, APromisedBodyTakesNothingFromOthers) {
  options_.max_bodies_in_flight_bytes = 1'000'000;
  uint16_t port = start();
  std::string head = "PUT /v1/presigned?key=k&expires=1&signature=s HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n";
  TestClient silent(port), silent_too(port), honest(port);
  EXPECT_EQ(silent.ask(head + "Expect: 100-continue\r\n\r\n").status, 100);
  EXPECT_EQ(silent_too.ask(head + "Expect: 100-continue\r\n\r\n").status, 100);
  EXPECT_EQ(honest.ask(head + "\r\n" + std::string(900000, 'x')).status, 200);
}

TEST_F(ServerTest, AGateRefusesBeforeTheBody) {
  api_.bind_gate("put_presigned", [](const RequestContext&, const service::Request& request) -> Status {
    if (request.query.at("signature") == "good") return Ok{};
    return Error{ErrorKind::kForbidden, "forged"};
  });
  uint16_t port = start();
  auto head = [](const std::string& signature) {
    return "PUT /v1/presigned?key=k&expires=1&signature=" + signature + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n";
  };
  TestClient forger(port), signer(port);
  EXPECT_EQ(forger.ask(head("bad")).status, 403) << "not a byte of the body was sent";
  EXPECT_EQ(signer.ask(head("good") + std::string(3000000, 'x')).status, 200);
}

TEST_F(ServerTest, MalformedRequests) {
  uint16_t port = start();
  std::string huge(40'000, 'a');
  const std::string cases[] = {
      "\x16\x03\x01\x02 TLS hello\r\n\r\n",
      "GET\r\n\r\n",
      "GET /v1/health HTTP/3.0\r\nHost: x\r\n\r\n",
      "GET /v1/health HTTP/1.1\r\n\r\n",
      "GET /v1/health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
      "GET /v1/health HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
      "GET /v1/health HTTP/1.1\r\nHost: x\r\nX-Long: " + huge + "\r\n\r\n",
      "GET /" + huge + " HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /v1/buckets HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
      "POST /v1/buckets HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "POST /v1/buckets HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "POST /v1/buckets HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /v1/buckets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
      std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
  };
  for (const std::string& request : cases) {
    TestClient client(port);
    ClientReply reply = client.ask(request);
    EXPECT_EQ(reply.status, 400) << request.substr(0, 120);
    EXPECT_NE(reply.body.find(R"("type":"BadRequestError")"), std::string::npos);
    EXPECT_TRUE(client.ended());
  }
  TestClient many(port);
  std::string headers;
  for (int i = 0; i < 200; ++i) headers += "A" + std::to_string(i) + ": b\r\n";
  EXPECT_EQ(many.ask("GET /v1/health HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n").status, 400);
  TestClient fine(port);
  EXPECT_EQ(fine.ask(std::string("\r\n\r\n") + kHealth).status, 200) << "empty lines before a request are ignored";
}

TEST_F(ServerTest, ABodyCutShort) {
  TestClient client(start());
  ASSERT_TRUE(client.send(std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "Content-Length: 100\r\n\r\n{\"half"));
  shutdown(client.fd(), SHUT_WR);
  EXPECT_EQ(client.receive().status, 400);
}

TEST_F(ServerTest, SlowHeadersEnd) {
  options_.header_timeout_ms = 300;
  TestClient client(start());
  ASSERT_TRUE(client.send("GET /v1/health HTTP/1.1\r\nHos"));
  ClientReply reply = client.receive();
  EXPECT_TRUE(reply.head.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << reply.head;
  EXPECT_NE(reply.body.find("TimeoutError"), std::string::npos);
  EXPECT_NE(reply.body.find(R"("status":408)"), std::string::npos) << reply.body;
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, DrippingHeadersEndToo) {
  options_.header_timeout_ms = 600;
  TestClient client(start());
  bool open = client.send("GET /v1/health HTTP/1.1\r\nHost: x\r\n");
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(8);
  for (int i = 0; open && std::chrono::steady_clock::now() < until; ++i) {
    open = client.send("A" + std::to_string(i) + ": b\r\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_FALSE(open) << "each byte must not buy more time";
}

TEST_F(ServerTest, IdleConnectionsEnd) {
  options_.idle_timeout_ms = 300;
  TestClient client(start());
  EXPECT_EQ(client.ask(kHealth).status, 200);
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, LargeRepliesArriveWhole) {
  TestClient client(start());
  ClientReply reply = client.ask("GET /v1/presigned?key=k&expires=1&signature=s HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(reply.body.size(), size_t{8} << 20);
  EXPECT_EQ(client.ask(kHealth).status, 200);
}

// A reply of `size` bytes that counts what is read of it.
struct CountedSource {
  std::atomic<uint64_t> reads{0}, most{0};
  uint64_t size = 0, readable = UINT64_MAX;
  static char byte_at(uint64_t offset) { return static_cast<char>('a' + offset % 23); }

  service::Reply reply() {
    service::Reply reply;
    reply.content_type = "application/octet-stream";
    reply.source.size = size;
    reply.source.read = [this](uint64_t offset, uint64_t length) -> Result<std::string> {
      ++reads;
      most = std::max(most.load(), length);
      if (offset >= readable) return not_found("gone meanwhile");
      std::string piece(length, 0);
      for (uint64_t i = 0; i < length; ++i) piece[i] = byte_at(offset + i);
      return piece;
    };
    return reply;
  }
};

constexpr const char* kDownload = "/v1/presigned?key=k&expires=1&signature=s HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_F(ServerTest, ASourceIsReadInPieces) {
  CountedSource source;
  source.size = (3 << 20) + 17;
  api_.bind("get_presigned", [&](const RequestContext&, const service::Request&) -> Result<service::Reply> { return source.reply(); });
  TestClient client(start());
  ASSERT_TRUE(client.send(std::string("HEAD ") + kDownload));
  EXPECT_TRUE(client.receive(true).has("Content-Length: 3145745\r\n"));
  EXPECT_EQ(source.reads, 0u);
  ClientReply reply = client.ask(std::string("GET ") + kDownload);
  ASSERT_EQ(reply.body.size(), source.size);
  for (size_t i = 0; i < reply.body.size(); ++i) ASSERT_EQ(reply.body[i], CountedSource::byte_at(i)) << i;
  EXPECT_LE(source.most, 256u << 10);
  EXPECT_EQ(client.ask(kHealth).status, 200) << "the connection goes on";
}

TEST_F(ServerTest, AReaderThatStandsStillHoldsLittle) {
  CountedSource source;
  source.size = uint64_t{1} << 40;
  api_.bind("get_presigned", [&](const RequestContext&, const service::Request&) -> Result<service::Reply> { return source.reply(); });
  uint16_t port = start();
  TestClient still(port), other(port);
  ASSERT_TRUE(still.send(std::string("GET ") + kDownload));
  for (int i = 0; i < 200; ++i) ASSERT_EQ(other.ask(kHealth).status, 200);
  EXPECT_LE(source.reads * source.most, 64u << 20) << "what the sockets' buffers take, and a piece";
  server_->stop(0);
}

TEST_F(ServerTest, ASourceThatFailsCutsTheReply) {
  CountedSource source;
  source.size = 4 << 20;
  source.readable = 1 << 20;
  api_.bind("get_presigned", [&](const RequestContext&, const service::Request&) -> Result<service::Reply> { return source.reply(); });
  TestClient client(start());
  ClientReply reply = client.ask(std::string("GET ") + kDownload);
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.body.empty()) << "the reply is not whole";
}

TEST_F(ServerTest, AnEmptyRangeSaysHowMuchThereIs) {
  api_.bind("get_presigned", [](const RequestContext&, const service::Request&) -> Result<service::Reply> {
    return Error{ErrorKind::kRangeNotSatisfiable, "none of it", {{"size_bytes", uint64_t{12}}}};
  });
  ClientReply reply = TestClient(start()).ask(std::string("GET ") + kDownload);
  EXPECT_TRUE(reply.head.starts_with("HTTP/1.1 416 Range Not Satisfiable\r\n")) << reply.head;
  EXPECT_TRUE(reply.has("Content-Range: bytes */12\r\n"));
}

TEST_F(ServerTest, ManyConnectionsAtOnce) {
  options_.handler_threads = 8;  // 64 requests a thread may wait: room for all, however slow they are
  uint16_t port = start();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(std::make_unique<TestClient>(port));
  for (int round = 0; round < 3; ++round) {
    for (auto& client : clients) ASSERT_TRUE(client->send(round == 1 ? post("/v1/buckets", kBucket) : std::string(kHealth)));
    for (auto& client : clients) ASSERT_EQ(client->receive().status, 200);
  }
}

TEST_F(ServerTest, ConnectionsPastTheLimitAreTurnedAway) {
  options_.max_connections = 4;
  uint16_t port = start();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<TestClient>(port));
    ASSERT_EQ(clients.back()->ask(kHealth).status, 200);
  }
  TestClient refused(port);
  EXPECT_EQ(refused.receive().status, 503);
}

TEST_F(ServerTest, AFullHandlerQueueRefuses) {
  options_.handler_threads = 1;
  std::latch entered(1), release(1);
  std::atomic<int> calls{0};
  api_.bind("list_buckets_get", [&](const RequestContext&, const service::Request&) -> Result<service::Reply> {
    if (calls.fetch_add(1) == 0) {
      entered.count_down();
      release.wait();
    }
    return service::Reply(json::object{});
  });
  uint16_t port = start();
  std::string request = std::string("GET /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "\r\n";
  TestClient blocking(port);
  ASSERT_TRUE(blocking.send(request));
  entered.wait();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 80; ++i) {
    clients.push_back(std::make_unique<TestClient>(port));
    ASSERT_TRUE(clients.back()->send(request));
  }
  // More were sent than the queue takes: the refusals arrive while the handler still stands.
  TestClient health(port);
  EXPECT_EQ(health.ask(kHealth).status, 200) << "inline operations go on";
  release.count_down();
  int served = 0, refused = 0;
  for (auto& client : clients) {
    int status = client->receive().status;
    served += status == 200;
    refused += status == 503;
  }
  EXPECT_EQ(served + refused, 80);
  EXPECT_GE(served, 1);
  EXPECT_GE(refused, 1);
  EXPECT_EQ(blocking.receive().status, 200);
}

TEST_F(ServerTest, StopLetsARunningRequestFinish) {
  std::latch entered(1);
  std::atomic<bool> go{false};
  api_.bind("list_buckets_get", [&](const RequestContext&, const service::Request&) -> Result<service::Reply> {
    entered.count_down();
    go.wait(false);
    return service::Reply(json::object{{"done", true}});
  });
  uint16_t port = start();
  TestClient idle(port), busy(port);
  EXPECT_EQ(idle.ask(kHealth).status, 200);
  ASSERT_TRUE(busy.send(std::string("GET /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "\r\n"));
  entered.wait();
  std::thread stopper([&] { server_->stop(10'000); });
  EXPECT_TRUE(idle.ended()) << "idle connections end at once";
  go = true;
  go.notify_all();
  ClientReply reply = busy.receive();
  stopper.join();
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.has("Connection: close"));
  EXPECT_FALSE(TestClient(port).connected());
}

TEST_F(ServerTest, StopTellsARequestThatOutlivesTheGraceToEnd) {
  std::latch entered(1);
  api_.bind("list_buckets_get", [&](const RequestContext& context, const service::Request&) -> Result<service::Reply> {
    entered.count_down();
    while (!context.expired()) std::this_thread::yield();
    return Error{ErrorKind::kTimeout, "told to end"};
  });
  uint16_t port = start();
  TestClient busy(port);
  ASSERT_TRUE(busy.send(std::string("GET /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "\r\n"));
  entered.wait();
  auto began = std::chrono::steady_clock::now();
  server_->stop(50);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20));
}

TEST_F(ServerTest, StopWithClientsInEveryState) {
  uint16_t port = start();
  TestClient idle(port), head(port), body(port), reading(port);
  head.send("GET /v1/hea");
  body.send(std::string("POST /v1/buckets HTTP/1.1\r\nHost: x\r\n") + kKey + "Content-Length: 100\r\n\r\n{");
  reading.send("GET /v1/presigned?key=k&expires=1&signature=s HTTP/1.1\r\nHost: x\r\n\r\n");
  idle.ask(kHealth);
  auto began = std::chrono::steady_clock::now();
  server_->stop(50);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST_F(ServerTest, ATakenPortIsAConflict) {
  options_.port = start();
  auto second = Server::make(options_, api_, contract());
  ASSERT_TRUE(second.ok());
  Status started = (*second)->start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().kind, ErrorKind::kConflict);
  EXPECT_NE(started.error().message.find(std::to_string(options_.port)), std::string::npos);
}

TEST_F(ServerTest, BadHostsAreRefused) {
  options_.host = "not an address";
  auto server = Server::make(options_, api_, contract());
  ASSERT_TRUE(server.ok());
  EXPECT_FALSE((*server)->start().ok());
}

TEST_F(ServerTest, RequestsAreCounted) {
  TestClient client(start());
  for (int i = 0; i < 3; ++i) client.ask(kHealth);
  std::string text = client.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body;
  EXPECT_NE(text.find(R"(quarry_http_requests_total{operation="healthcheck_health",status="2xx"})"), std::string::npos);
  EXPECT_NE(text.find(R"(quarry_http_request_seconds_count{operation="healthcheck_health"})"), std::string::npos);
  EXPECT_NE(text.find("quarry_http_connections "), std::string::npos);
}

}  // namespace
}  // namespace quarry::http

#include "objects/fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstdlib>

#include "objects/address_policy.h"
#include "objects/fetched_name.h"
#include "objects/test_http_server.h"

namespace quarry::objects {
namespace {

using testing::HasSubstr;
using Server = TestHttpServer;

void answer(const std::string& path, int socket) {
  if (path == "/ok/file%20name.txt?q=1") return Server::reply(socket, "200 OK", "Content-Type: text/plain\r\n", "hello");
  if (path == "/named")
    return Server::reply(socket, "200 OK", "Content-Disposition: attachment; filename=\"../../etc/pass wd.pdf\"\r\n", "x");
  if (path.starts_with("/to/")) return Server::reply(socket, "302 Found", "Location: " + path.substr(4) + "\r\n", "moved body");
  if (path == "/loop") return Server::reply(socket, "302 Found", "Location: /loop\r\n", "");
  if (path.starts_with("/missing")) return Server::reply(socket, "404 Not Found", "", "no");
  if (path == "/broken") return Server::reply(socket, "503 Service Unavailable", "", "later");
  if (path == "/silent") return Server::wait_for_close(socket);
  if (path == "/announced") return Server::send_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nshort");
  if (path == "/cut") return Server::send_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
  if (path == "/endless") {
    Server::send_all(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 1000; ++i) Server::send_all(socket, std::string(10'000, 'x'));
    return;
  }
  Server::reply(socket, "200 OK", "", path);
}

class FetcherTest : public testing::Test {
 protected:
  static FetchOptions open() {
    return {.allow_private_networks = true, .max_bytes = 1'000'000, .timeout_ms = 20'000, .allow_address = nullptr};
  }
  Result<Fetched> get(const std::string& url, FetchOptions options = open()) { return Fetcher::make(std::move(options))->get(url); }
  Error error_of(const std::string& url, FetchOptions options = open()) {
    auto fetched = get(url, std::move(options));
    return fetched.ok() ? internal_error("worked: " + fetched->bytes) : fetched.error();
  }
  Server server_{answer};
};

TEST_F(FetcherTest, GetsBytesTypeAndName) {
  auto fetched = get(server_.url("/ok/file%20name.txt?q=1"));
  ASSERT_TRUE(fetched.ok()) << fetched.error().message;
  EXPECT_EQ(fetched->bytes, "hello");
  EXPECT_EQ(fetched->content_type, "text/plain");
  EXPECT_EQ(fetched->filename, "file name.txt");
  EXPECT_EQ(get(server_.url("/named"))->filename, "pass wd.pdf");
}

TEST_F(FetcherTest, PrivateAddressesAreRefusedBeforeAnyConnection) {
  for (const char* host :
       {"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "10.1.2.3", "169.254.169.254", "[fe80::1]", "[fd00::1]", "192.168.0.1", "100.64.0.1"}) {
    Error error = error_of(server_.url("/ok", host), {.timeout_ms = 20'000, .allow_address = nullptr});
    EXPECT_EQ(error.kind, ErrorKind::kBadRequest) << host << ": " << error.message;
    EXPECT_THAT(error.message, HasSubstr("not public")) << host;
  }
  EXPECT_EQ(server_.connections(), 0);
}

TEST_F(FetcherTest, ARedirectIsCheckedLikeTheFirstRequest) {
  FetchOptions mixed = open();
  mixed.allow_private_networks = false;
  mixed.allow_address = [](const sockaddr& address) { return format_address(address) == "127.0.0.1"; };
  EXPECT_EQ(get(server_.url("/to//next"), mixed)->bytes, "/next");
  for (const std::string& target : {server_.url("/x", "127.0.0.2"), server_.url("/x", "[::1]"), std::string("http://10.0.0.1/"),
                                    std::string("http://169.254.169.254/latest/meta-data/")}) {
    Error error = error_of(server_.url("/to/" + target), mixed);
    EXPECT_EQ(error.kind, ErrorKind::kBadRequest) << target;
    EXPECT_THAT(error.message, HasSubstr("not public")) << target;
  }
}

TEST_F(FetcherTest, ARedirectLeadsNowhereButToHttp) {
  for (const char* target : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "dict://127.0.0.1/x"})
    EXPECT_EQ(error_of(server_.url(std::string("/to/") + target)).kind, ErrorKind::kBadRequest) << target;
}

TEST_F(FetcherTest, FollowsOnlySoManyRedirects) {
  Error error = error_of(server_.url("/loop"));
  EXPECT_EQ(error.kind, ErrorKind::kBadRequest);
  EXPECT_THAT(error.message, HasSubstr("more than 5 times"));
  FetchOptions none = open();
  none.max_redirects = 0;
  EXPECT_EQ(error_of(server_.url("/to//next"), none).kind, ErrorKind::kStorage);
}

TEST_F(FetcherTest, TheProxyOfTheEnvironmentIsNotUsed) {
  setenv("http_proxy", "http://127.0.0.1:1/", 1);
  setenv("all_proxy", "http://127.0.0.1:1/", 1);
  EXPECT_TRUE(get(server_.url("/direct")).ok());
  unsetenv("http_proxy");
  unsetenv("all_proxy");
}

TEST_F(FetcherTest, SizeAndTimeAreLimited) {
  EXPECT_EQ(error_of(server_.url("/announced")).kind, ErrorKind::kPayloadTooLarge);
  EXPECT_EQ(error_of(server_.url("/endless")).kind, ErrorKind::kPayloadTooLarge);
  FetchOptions hasty = open();
  hasty.timeout_ms = 300;
  EXPECT_EQ(error_of(server_.url("/silent"), hasty).kind, ErrorKind::kTimeout);
}

TEST_F(FetcherTest, FailuresOfTheServerAreStorageErrors) {
  Error missing = error_of(server_.url("/missing"));
  EXPECT_EQ(missing.kind, ErrorKind::kStorage);
  EXPECT_EQ(missing.details.at("http_status"), 404);
  EXPECT_EQ(missing.details.at("retryable"), false);
  EXPECT_EQ(error_of(server_.url("/broken")).details.at("retryable"), true);
  EXPECT_EQ(error_of(server_.url("/cut")).kind, ErrorKind::kStorage) << "a reply that ends early";
  EXPECT_EQ(error_of("http://127.0.0.1:1/").kind, ErrorKind::kStorage) << "nobody listens";
  EXPECT_EQ(error_of("http://no-such-host.invalid/").kind, ErrorKind::kStorage);
}

TEST_F(FetcherTest, MessagesHideTheQuery) { EXPECT_THAT(error_of(server_.url("/missing?token=secret")).message, Not(HasSubstr("secret"))); }

TEST(CheckUrl, AcceptsHttpOnly) {
  for (const char* good :
       {"http://example.org", "https://example.org:8443/a/b?c=d#e", "HTTP://EXAMPLE.ORG/", "http://[2001:db8::1]/x", "http://127.0.0.1/"})
    EXPECT_TRUE(check_url(good).ok()) << good;
  for (const char* bad : {"", "example.org", "ftp://example.org/", "file:///etc/passwd", "s3://bucket/key", "http://", "http:///x",
                          "http://user@example.org/", "http://user:pass@example.org/", "http://:pass@example.org/",
                          "http://example.org/a b", "http://example.org/\n", "http://example.org\\@evil.org/", "javascript:alert(1)",
                          "//example.org/x", "http://example.org:99999/", "http://[::1/"}) {
    Status checked = check_url(bad);
    ASSERT_FALSE(checked.ok()) << bad;
    EXPECT_EQ(checked.error().kind, ErrorKind::kBadRequest);
  }
  EXPECT_FALSE(check_url("http://example.org/" + std::string(9000, 'a')).ok());
}

bool is_public(const std::string& text) {
  sockaddr_storage storage{};
  if (text.find(':') == std::string::npos) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, text.c_str(), &in.sin_addr), 1) << text;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(storage);
    in.sin6_family = AF_INET6;
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &in.sin6_addr), 1) << text;
  }
  EXPECT_EQ(format_address(reinterpret_cast<sockaddr&>(storage)), text);
  return is_public_address(reinterpret_cast<sockaddr&>(storage));
}

TEST(IsPublicAddress, KnowsTheSpecialRangesAndTheirEdges) {
  for (const char* address :
       {"1.1.1.1",         "8.8.8.8",        "9.255.255.255",    "11.0.0.0",        "100.63.255.255",  "100.128.0.0",
        "126.255.255.255", "128.0.0.0",      "169.253.255.255",  "172.15.255.255",  "172.32.0.0",      "192.0.1.0",
        "192.167.255.255", "192.169.0.0",    "198.17.255.255",   "198.20.0.0",      "223.255.255.255", "2606:4700::1111",
        "2a00:1450::1",    "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2001:200::1"})
    EXPECT_TRUE(is_public(address)) << address;
  for (const char* address :
       {"0.0.0.0",      "0.1.2.3",         "10.0.0.1",         "10.255.255.255",  "100.64.0.0",        "100.127.255.255",
        "127.0.0.1",    "127.255.255.254", "169.254.169.254",  "172.16.0.1",      "172.31.255.255",    "192.0.0.1",
        "192.0.2.1",    "192.88.99.1",     "192.168.1.1",      "198.18.0.1",      "198.19.255.255",    "198.51.100.1",
        "203.0.113.1",  "224.0.0.1",       "239.255.255.255",  "240.0.0.1",       "255.255.255.255",   "::",
        "::1",          "::7f00:1",        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",   "64:ff9b::a00:1",
        "64:ff9b:1::1", "2002:7f00:1::",   "2002:a00:1::1",    "2001::1",         "2001:0:808:808::1", "2001:db8::1",
        "3fff::1",      "fc00::1",         "fdff::1",          "fe80::1",         "fec0::1",           "ff02::1",
        "100::1",       "5f00::1"}) {
    std::string text = address;
    if (text == "::7f00:1") text = "::127.0.0.1";  // as inet_ntop writes it
    EXPECT_FALSE(is_public(text)) << address;
  }
}

TEST(IsPublicAddress, OtherFamiliesAreNot) {
  sockaddr unix_address{};
  unix_address.sa_family = AF_UNIX;
  EXPECT_FALSE(is_public_address(unix_address));
}

TEST(FetchedName, PrefersTheHeaderAndTrustsNothing) {
  EXPECT_EQ(fetched_name("", "/a/b.txt"), "b.txt");
  EXPECT_EQ(fetched_name("attachment; filename=c.pdf", "/a/b.txt"), "c.pdf");
  EXPECT_EQ(fetched_name("attachment; filename=\"c.pdf\"; filename*=UTF-8''d%C3%A9.pdf", "/b"), "dé.pdf");
  EXPECT_EQ(fetched_name("attachment; filename*=latin1''x", "/b.txt"), "b.txt");
  EXPECT_EQ(fetched_name("attachment; FileName=\"a\\\"b.txt\"", "/"), "a\"b.txt");
  EXPECT_EQ(fetched_name("", "/x/..%2f..%2fetc%2fpasswd"), "passwd");
  EXPECT_EQ(fetched_name("", "/..%5c..%5cboot.ini"), "boot.ini");
  EXPECT_EQ(fetched_name("", "/.hidden"), "hidden");
  EXPECT_EQ(fetched_name("", "/%00%0d%0a"), "");
  EXPECT_EQ(fetched_name("", "/"), "");
  EXPECT_EQ(fetched_name("", "/%FF%FE"), "");
  EXPECT_LE(fetched_name("", "/" + std::string(1000, 'a')).size(), 255u);
}

}  // namespace
}  // namespace quarry::objects

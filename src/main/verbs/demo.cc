#include <cstdio>

#include "base/clock.h"
#include "main/client.h"
#include "main/verbs/search_print.h"
#include "main/verbs/verbs.h"

namespace quarry::verbs {
namespace {

constexpr const char* kDemoNamespace = "demo";
constexpr const char* kQueries[] = {
    "how do I undo the last change",
    "keep the database fast when many rows were deleted",
    "connect headphones without a cable",
    "scheduling processes on several processors",
};

}  // namespace

int demo(const Config& config, const std::string& corpus) {
  IngestOptions options;
  options.path = corpus;
  options.bucket_name = "corpus";
  int64_t began = system_clock().steady_us();
  auto credentials = find_credentials(config);
  if (!credentials.ok()) return fail(credentials.error());
  options.namespace_name = credentials->namespace_.empty() ? kDemoNamespace : credentials->namespace_;
  if (int status = ingest(config, options); status != 0) return status;
  std::printf("ingested in %.1f s\n\n", static_cast<double>(system_clock().steady_us() - began) / 1e6);

  credentials->namespace_ = options.namespace_name;
  Client client(*credentials);
  for (const char* query : kQueries) {
    int64_t start = system_clock().steady_us();
    auto reply = search_text(client, {.text = query, .limit = 3});
    if (!reply.ok()) return fail(reply.error());
    print_results(query, *reply, static_cast<double>(system_clock().steady_us() - start) / 1000.0);
    std::printf("\n");
  }
  std::printf("Try your own:   build/release/bin/quarry search \"...\"\nThe API's page: %s/docs\n", client.url().c_str());
  return 0;
}

}  // namespace quarry::verbs

#include <cstdio>

#include "http/http.h"
#include "main/verbs/verbs.h"

namespace quarry::verbs {

int api_coverage() {
  auto contract = http::Contract::load_embedded();
  if (!contract.ok()) return fail(contract.error());
  // Handlers are bound, never called: no part of the server is needed.
  auto api = service::Api::make({});
  std::fputs((*contract)->coverage(*api).c_str(), stdout);
  return 0;
}

}  // namespace quarry::verbs

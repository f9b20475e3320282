#include <cstdio>

#include "main/verbs/verbs.h"

namespace quarry::verbs {

int show_config(const Config& config) {
  std::printf("%-28s %-28s %-22s %s\n", "setting", "value", "from", "variable");
  for (const auto& s : all_settings()) {
    std::string value = config.text(s.key);
    if (s.is_secret() && !value.empty()) value = "(set)";
    std::printf("%-28s %-28s %-22s %s\n", s.key.c_str(), value.empty() ? "-" : value.c_str(), config.origin(s.key).c_str(),
                environment_name(s.key).c_str());
  }
  return 0;
}

}  // namespace quarry::verbs

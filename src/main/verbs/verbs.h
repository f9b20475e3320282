// The program's verbs. Each prints to standard output what was asked for, to standard error what happened on the way, and returns the exit
// status.
#pragma once

#include <string>
#include <vector>

#include "main/config.h"

namespace quarry::verbs {

int serve(const Config& config);
int demo(const Config& config, const std::string& corpus);

struct IngestOptions {
  std::string path;
  std::string namespace_name = "default";
  std::string bucket_name;      // empty: made from the folder's name
  std::string collection_name;  // empty: "<bucket>_text"
};
int ingest(const Config& config, const IngestOptions& options);

struct SearchOptions {
  std::string text;
  size_t limit = 5;
  std::vector<std::string> collections;  // empty: every collection of the namespace that holds text vectors
  bool as_json = false;
  bool by_words = false;  // ranks by words instead of vectors
};
int search(const Config& config, const SearchOptions& options);

// What the tiering rules will do, and what became of collections' lifecycles.
int tiering_plan(const Config& config, bool as_json);
int tiering_events(const Config& config, size_t limit, bool as_json);

int doctor(const Config& config);
// Looks for damage in every table and local file of the data folder, which no server may be using. With `repair` what can be made again is,
// and nothing else is changed. Returns 1 while damage is left.
int doctor_deep(const Config& config, bool repair);
int show_config(const Config& config);
int api_coverage();
int keys_reset(const Config& config);
int organizations_add(const Config& config, const std::string& name);

// Prints "error: ..." and what to do, returns 1.
int fail(const Error& error);

}  // namespace quarry::verbs

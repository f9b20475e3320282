// When collections were last queried: noted in memory on the way of a query, written now and then.
//
// A row of kind "query_time" under the collection, with its id: { collection_id, queried_at }. One more, without an organization and with
// the id "recorded", tells since when this catalog's servers record at all: { since }.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "catalog/catalog.h"
#include "model/collection.h"

namespace quarry::pipeline {

// Thread-safe.
class QueryTimes {
 public:
  explicit QueryTimes(catalog::Catalog& catalog) : catalog_(catalog) {}

  // One lock and one look-up. Never blocks on storage.
  void note(const Collection& collection, TimestampUs at);
  // Writes what was noted since the last time; on error it stays noted.
  Status flush();

 private:
  struct Noted {
    catalog::Scope scope;
    TimestampUs at = 0;
  };
  using NotedById = std::unordered_map<std::string, Noted>;

  catalog::Catalog& catalog_;
  std::mutex flush_mutex_;  // one flush at a time; taken before mutex_
  std::mutex mutex_;        // of noted_
  NotedById noted_;         // by collection id
};

// In the caller's transaction. The later time stays; nothing is written for a collection that is gone.
Status store_query_time(catalog::Session& session, const catalog::Scope& scope, const std::string& collection_id, TimestampUs at);
// 0: not known to have been queried.
Result<TimestampUs> load_query_time(catalog::Session& session, const catalog::Scope& scope, const std::string& collection_id);

// Since when queries are recorded: `now` the first time it is asked for on a catalog.
Result<TimestampUs> begin_recording(catalog::Session& session, TimestampUs now);
// `now` if begin_recording() was never called.
Result<TimestampUs> recorded_since(catalog::Session& session, TimestampUs now);

}  // namespace quarry::pipeline

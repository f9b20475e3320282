// Records of retriever executions. They are kept in memory until a background flush writes them to the catalog, off the latency path;
// readers flush first, so a record is visible as soon as its reply was sent (unless the catalog takes no writes). A crash loses at most the
// records since the last flush. Of a retriever that runs faster than it is flushed only the records that would be kept are made at all.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "service/service.h"

namespace quarry::service {

// Thread-safe.
class ExecutionLog {
 public:
  explicit ExecutionLog(const Dependencies& deps) : state_(std::make_shared<State>()), deps_(deps) {}
  ~ExecutionLog() { (void)flush(); }

  // Whose executions are kept together: a retriever's, or those of a namespace without one.
  struct Parent {
    std::string organization_id, namespace_id, id;
    auto operator<=>(const Parent&) const = default;
  };
  // Makes the resource of kind execution; called by the thread that flushes, perhaps never.
  using MakeRecord = std::function<catalog::Resource()>;

  void add(Parent parent, MakeRecord record);
  Status flush();
  // For reads, which go on when nothing can be written; what stays in memory they do not see.
  void flush_for_read();

  static constexpr size_t kKeepPerRetriever = 200;

 private:
  static constexpr size_t kFlushAt = 1'024;
  static constexpr size_t kMaxPending = 4'096;  // past it the retriever that has most loses its oldest
  static constexpr int64_t kFlushEveryUs = 1'000'000;

  // Shared with the flush that runs on the executor, which may outlive the log.
  using Pending = std::map<Parent, std::deque<MakeRecord>>;  // oldest first
  struct State {
    std::mutex mutex;        // of the members below
    std::mutex flush_mutex;  // one flush at a time; taken before `mutex`
    Pending pending;
    size_t count = 0;
    int64_t last_flush_us = 0;
    bool scheduled = false;

    void keep(const Parent& parent, MakeRecord record);
    void put_back(Pending unwritten);
    void drop_oldest(std::deque<MakeRecord>& records);
  };
  static Status flush(State& state, catalog::Catalog& catalog, const Clock& clock);

  std::shared_ptr<State> state_;
  const Dependencies& deps_;
};

}  // namespace quarry::service

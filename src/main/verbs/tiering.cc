#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "main/verbs/ensure.h"
#include "main/verbs/verbs.h"

namespace quarry::verbs {
namespace {

// "1.4 MiB".
std::string bytes_text(int64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

// "2026-01-31 12:00" of a timestamp as the server writes it.
std::string minute_of(std::string timestamp) {
  timestamp.resize(std::min<size_t>(timestamp.size(), 16));
  std::replace(timestamp.begin(), timestamp.end(), 'T', ' ');
  return timestamp;
}

// Control characters would move the terminal's cursor.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

using TableRow = std::vector<std::string>;

// Columns as wide as what they hold; the last one is left as it is.
void print_table(const std::vector<TableRow>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const TableRow& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const TableRow& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += i + 1 < row.size() ? fmt::format("{:<{}}  ", row[i], widths[i]) : row[i];
    std::printf("%s\n", printable(line).c_str());
  }
}

bool flag_of(const json::value& object, std::string_view key) {
  const json::value* value = object.as_object().if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::string saving_of(const json::value& action) {
  if (const int64_t freed = integer_of(action, "memory_bytes_freed"); freed > 0) return bytes_text(freed) + " of memory";
  if (const int64_t removed = integer_of(action, "stored_bytes_removed"); removed > 0) return bytes_text(removed) + " stored";
  return "-";
}

std::string cost_of(const json::value& action) {
  const std::string read_back = bytes_text(integer_of(action, "bytes_read_back"));
  const std::string step = text_of(action, "action");
  if (step == "evict") return read_back + " read by a search that the cold cache does not help";
  if (step == "rehydrate") return read_back + " read once";
  if (step == "cancel_archive") return "-";
  return fmt::format("{} documents gone for good", integer_of(action, "documents"));
}

void print_plan(const json::value& plan) {
  const auto& actions = array_of(plan, "actions");
  if (actions.empty()) {
    std::printf("No tiering rule of this namespace has anything to do.\n");
    std::fprintf(stderr, "Rules are set by PATCH /v1/collections/ID with \"tiering_rules\": docs/storage_tiers.md shows how.\n");
    return;
  }
  std::vector<TableRow> rows{{"COLLECTION", "STATE", "STEP", "WHEN (UTC)", "WHY", "SAVES", "COSTS"}};
  for (const auto& action : actions) {
    std::string why = text_of(action, "reason");
    if (const std::string at = text_of(action, "archive_at"); !at.empty()) why = "archive at " + minute_of(at);
    rows.push_back({text_of(action, "collection_name"), text_of(action, "lifecycle_state"), text_of(action, "action"),
                    flag_of(action, "is_due") ? "now" : minute_of(text_of(action, "due_at")), std::move(why), saving_of(action),
                    cost_of(action)});
  }
  print_table(rows);
  const json::value& due = plan.at("due");
  std::printf("Due now: %lld; frees %s of memory and %s stored.\n", static_cast<long long>(integer_of(due, "actions")),
              bytes_text(integer_of(due, "memory_bytes_freed")).c_str(), bytes_text(integer_of(due, "stored_bytes_removed")).c_str());
}

std::string what_of(const json::value& event) {
  const std::string type = text_of(event, "event_type");
  if (type == "lifecycle.archive_announced") return "archive announced for " + minute_of(text_of(event, "archive_at"));
  if (type == "lifecycle.archive_cancelled") return "announced archive taken back";
  return fmt::format("{} -> {}", text_of(event, "from"), text_of(event, "to"));
}

std::string held_of(const json::value& event) {
  const json::object& members = event.as_object();
  if (!members.contains("documents")) return "-";
  return fmt::format("{} documents, {}", integer_of(event, "documents"), bytes_text(integer_of(event, "bytes")));
}

void print_events(const json::value& reply) {
  const auto& events = array_of(reply, "results");
  if (events.empty()) {
    std::printf("No collection has moved yet.\n");
    return;
  }
  std::vector<TableRow> rows{{"TIME (UTC)", "COLLECTION", "WHAT", "BY", "HELD", "WHY"}};
  for (const auto& event : events) {
    rows.push_back({minute_of(text_of(event, "at")), text_of(event, "collection_id"), what_of(event), text_of(event, "reason"),
                    held_of(event), text_of(event, "explanation")});
  }
  print_table(rows);
}

int show(const Config& config, const std::string& path, bool as_json, void (*print)(const json::value&)) {
  const auto credentials = find_credentials(config);
  if (!credentials.ok()) return fail(credentials.error());
  Client client(*credentials);
  const auto reply = client.call("GET", path);
  if (!reply.ok()) return fail(reply.error());
  if (as_json)
    std::printf("%s\n", json::serialize(*reply).c_str());
  else
    print(*reply);
  return 0;
}

}  // namespace

int tiering_plan(const Config& config, bool as_json) { return show(config, "/v1/lifecycle/plan", as_json, print_plan); }

int tiering_events(const Config& config, size_t limit, bool as_json) {
  return show(config, fmt::format("/v1/lifecycle/events?limit={}", limit), as_json, print_events);
}

}  // namespace quarry::verbs

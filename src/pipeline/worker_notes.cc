#include "pipeline/worker_notes.h"

namespace quarry::pipeline {
namespace {

const json::object* notes_of(const Task& task) {
  const json::value* notes = task.inputs.if_contains(kWorkerNotes);
  return notes ? notes->if_object() : nullptr;
}

int number(const json::object* object, std::string_view name) {
  const json::value* value = object ? object->if_contains(name) : nullptr;
  return value && value->is_int64() ? static_cast<int>(value->get_int64()) : 0;
}

}  // namespace

int unsettled_attempts(const Task& task) { return task.attempts - number(notes_of(task), "settled_attempts"); }

void settle_attempts(Task& task) { task.inputs[kWorkerNotes] = json::object{{"settled_attempts", task.attempts}}; }

std::optional<Suspect> suspect_of(const Task& task) {
  const json::object* notes = notes_of(task);
  const json::value* found = notes ? notes->if_contains("suspect") : nullptr;
  const json::object* suspect = found ? found->if_object() : nullptr;
  const json::value* id = suspect ? suspect->if_contains("item_id") : nullptr;
  if (!id || !id->is_string()) return std::nullopt;
  return Suspect{std::string(id->get_string()), number(suspect, "tries")};
}

void suspect(Task& task, const std::string& item_id) {
  auto before = suspect_of(task);
  int tries = before && before->item_id == item_id ? before->tries + 1 : 1;
  json::value& notes = task.inputs[kWorkerNotes];
  if (!notes.is_object()) notes = json::object{};
  notes.get_object()["suspect"] = json::object{{"item_id", item_id}, {"tries", tries}};
}

}  // namespace quarry::pipeline

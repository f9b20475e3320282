#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "main/verbs/verbs.h"

namespace {

using quarry::Config;
namespace verbs = quarry::verbs;

// Flags shared by every verb, and those that one verb adds; only what the user gave goes into the map.
struct Flags {
  std::string config_file;
  std::map<std::string, std::string> given;

  void add(CLI::App& app, const std::string& key, const std::string& help) {
    std::string flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    app.add_option_function<std::string>(flag, [this, key](const std::string& value) { given[key] = value; }, help);
  }
};

int run_with(const Flags& flags, const std::function<int(const Config&)>& verb) {
  auto config = Config::load(flags.config_file, quarry::process_environment(), flags.given);
  if (!config.ok()) return verbs::fail(config.error());
  return verb(*config);
}

}  // namespace

int main(int argc, char** argv) {
  setenv("ARROW_DEFAULT_MEMORY_POOL", "system", 0);  // the program's allocator, which gives memory back; Arrow's own keeps it
  CLI::App app{"Quarry: a multimodal data warehouse. Files in, queryable features kept, answers out."};
  app.set_version_flag("--version", "quarry " QUARRY_VERSION);
  app.require_subcommand(1);
  Flags flags;
  app.add_option("--config", flags.config_file, "TOML file of settings (default: ./quarry.toml where it exists)");
  for (const auto& setting : quarry::all_settings()) flags.add(app, setting.key, setting.help);
  for (CLI::Option* option : app.get_options())
    if (option->get_name().find('.') != std::string::npos) option->group("Settings");
  app.fallthrough();

  int status = 0;
  auto* serve = app.add_subcommand("serve", "run the server in the foreground");
  serve->callback([&] { status = run_with(flags, verbs::serve); });

  std::string corpus = "examples/corpus";
  auto* demo = app.add_subcommand("demo", "ingest the sample corpus and run a few searches");
  demo->add_option("corpus", corpus, "folder of files");
  demo->callback([&] { status = run_with(flags, [&](const Config& c) { return verbs::demo(c, corpus); }); });

  verbs::IngestOptions ingest_options;
  auto* ingest = app.add_subcommand("ingest", "ingest a folder: namespace, bucket and collection are made if missing");
  ingest->add_option("path", ingest_options.path, "folder or file")->required();
  ingest->add_option("--bucket", ingest_options.bucket_name, "bucket name (default: from the folder's name)");
  ingest->add_option("--collection", ingest_options.collection_name, "collection name (default: <bucket>_text)");
  ingest->callback([&] { status = run_with(flags, [&](const Config& c) { return verbs::ingest(c, ingest_options); }); });

  verbs::SearchOptions search_options;
  auto* search = app.add_subcommand("search", "search the text of a namespace");
  search->add_option("text", search_options.text, "what to look for")->required();
  search->add_option("--limit", search_options.limit, "results")->check(CLI::Range(1, 100));
  search->add_option("--collection", search_options.collections, "only these collections (id or name)");
  search->add_flag("--keyword", search_options.by_words, "rank by the words themselves (BM25) instead of by meaning");
  search->add_flag("--json", search_options.as_json, "print the server's reply");
  search->callback([&] { status = run_with(flags, [&](const Config& c) { return verbs::search(c, search_options); }); });

  bool as_json = false, dry_run = true;
  size_t events = 50;
  auto* tiering = app.add_subcommand("tiering", "what the tiering rules of a namespace will do, and when; the server does it");
  tiering->add_flag("--dry-run", dry_run, "list what would move now and next, what it saves and costs (the default)");
  tiering->add_flag("--json", as_json, "print the server's reply");
  auto* tiering_events = tiering->add_subcommand("events", "what moved, was announced or taken back, newest first");
  tiering_events->add_option("--limit", events, "events")->check(CLI::Range(1, 1000));
  tiering->callback([&] {
    const bool of_events = tiering_events->parsed();
    status = run_with(
        flags, [&](const Config& c) { return of_events ? verbs::tiering_events(c, events, as_json) : verbs::tiering_plan(c, as_json); });
  });

  auto* doctor = app.add_subcommand("doctor", "check program, model, disk, memory and server; say what is missing and how to get it");
  bool deep = false, repair = false;
  auto* deep_flag = doctor->add_flag("--deep", deep, "read every table and local file and name what is damaged (while no server runs)");
  doctor->add_flag("--repair", repair, "with --deep: make again what can be made again")->needs(deep_flag);
  doctor->callback(
      [&] { status = run_with(flags, [&](const Config& c) { return deep ? verbs::doctor_deep(c, repair) : verbs::doctor(c); }); });
  auto* config = app.add_subcommand("config", "print the settings in force and where each comes from");
  config->callback([&] { status = run_with(flags, verbs::show_config); });

  bool coverage = false;
  auto* api = app.add_subcommand("api", "about the REST contract");
  api->add_flag("--coverage", coverage, "list which operations are built")->required();
  api->callback([&] { status = verbs::api_coverage(); });

  auto* keys = app.add_subcommand("keys", "API keys of a data folder (no server needed)");
  auto* reset = keys->add_subcommand("reset", "make a new admin key and write it to the credentials file");
  keys->require_subcommand(1);
  reset->callback([&] { status = run_with(flags, verbs::keys_reset); });

  std::string organization;
  auto* organizations = app.add_subcommand("organizations", "organizations of a data folder (no server needed)");
  auto* add = organizations->add_subcommand("add", "add an organization; prints its admin key");
  organizations->require_subcommand(1);
  add->add_option("name", organization, "name")->required();
  add->callback([&] { status = run_with(flags, [&](const Config& c) { return verbs::organizations_add(c, organization); }); });

  CLI11_PARSE(app, argc, argv);
  return status;
}

// The tables, and how each version of them follows from the one before: docs/formats/catalog.md.
#include <fmt/format.h>

#include "catalog/sql_dialect.h"

namespace quarry::catalog {
namespace {

using Statements = std::vector<std::string>;

// {0} is the dialect's text type.
Statements version_1(const std::string& text) {
  return {
      fmt::format(
          "CREATE TABLE resources (kind {0} NOT NULL, id {0} NOT NULL, organization_id {0} NOT NULL, namespace_id {0} NOT NULL, parent_id "
          "{0} NOT NULL, "
          "name {0} NOT NULL, body TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision BIGINT NOT NULL, "
          "PRIMARY KEY (kind, id))",
          text),
      "CREATE UNIQUE INDEX resources_name ON resources (kind, organization_id, namespace_id, parent_id, name) WHERE name <> ''",
      "CREATE INDEX resources_namespace ON resources (kind, organization_id, namespace_id, created_at, id)",
      "CREATE INDEX resources_parent ON resources (kind, parent_id, organization_id, namespace_id, created_at, id)",
      fmt::format(
          "CREATE TABLE tasks (task_id {0} NOT NULL PRIMARY KEY, task_type {0} NOT NULL, organization_id {0} NOT NULL, namespace_id {0} "
          "NOT NULL, "
          "status {0} NOT NULL, inputs TEXT NOT NULL, additional_data TEXT NOT NULL, error TEXT NOT NULL, lease_owner {0} NOT NULL, "
          "lease_expires_at BIGINT NOT NULL, cancel_requested BIGINT NOT NULL, attempts BIGINT NOT NULL, created_at BIGINT NOT NULL, "
          "updated_at BIGINT NOT NULL)",
          text),
      "CREATE INDEX tasks_open ON tasks (created_at, task_id) WHERE status IN ('PENDING','QUEUED','IN_PROGRESS','PROCESSING')",
      "CREATE INDEX tasks_namespace ON tasks (organization_id, namespace_id, created_at, task_id)",
      fmt::format("CREATE TABLE work_items (task_id {0} NOT NULL, item_id {0} NOT NULL, position BIGINT NOT NULL, status BIGINT NOT NULL, "
                  "outcome TEXT NOT NULL, PRIMARY KEY (task_id, item_id))",
                  text),
      "CREATE INDEX work_items_position ON work_items (task_id, status, position)",
  };
}

// Ids that clients choose are unique within their organization, no wider.
Statements version_2(const std::string& text) {
  return {
      fmt::format("CREATE TABLE resources_2 (kind {0} NOT NULL, id {0} NOT NULL, organization_id {0} NOT NULL, namespace_id {0} NOT NULL, "
                  "parent_id {0} NOT NULL, name {0} NOT NULL, body TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, "
                  "revision BIGINT NOT NULL, PRIMARY KEY (kind, id, organization_id))",
                  text),
      "INSERT INTO resources_2 SELECT kind, id, organization_id, namespace_id, parent_id, name, body, created_at, updated_at, revision "
      "FROM resources",
      "DROP TABLE resources",
      "ALTER TABLE resources_2 RENAME TO resources",
      "CREATE UNIQUE INDEX resources_name ON resources (kind, organization_id, namespace_id, parent_id, name) WHERE name <> ''",
      "CREATE INDEX resources_namespace ON resources (kind, organization_id, namespace_id, created_at, id)",
      "CREATE INDEX resources_parent ON resources (kind, parent_id, organization_id, namespace_id, created_at, id)",
  };
}

Statements migration_to(long long version, const std::string& text) {
  switch (version) {
    case 1: return version_1(text);
    case 2: return version_2(text);
    default: return {};
  }
}

constexpr long long kVersion = 2;

long long stored_version(SqlConnection& connection) {
  Rows rows = connection.query("SELECT COALESCE(MAX(version), 0) FROM quarry_schema", "n", {});
  long long version = rows.next() ? rows.number(0) : 0;
  while (rows.next()) {
  }
  return version;
}

Status migrate_in_transaction(SqlConnection& connection, const Dialect& dialect) {
  if (!dialect.lock_schema().empty()) connection.run(dialect.lock_schema());
  connection.run("CREATE TABLE IF NOT EXISTS quarry_schema (version BIGINT NOT NULL)");
  long long version = stored_version(connection);
  if (version > kVersion) {
    return storage_error(fmt::format("{} was made by a newer release: its tables have version {}, this release knows {}",
                                     dialect.describe(), version, kVersion));
  }
  for (long long next = version + 1; next <= kVersion; ++next) {
    for (const std::string& statement : migration_to(next, dialect.text_type())) connection.run(statement);
    connection.execute("INSERT INTO quarry_schema (version) VALUES (:version)", {next});
  }
  return Ok{};
}

}  // namespace

Status migrate(SqlConnection& connection, const Dialect& dialect) {
  try {
    connection.run(dialect.begin_write());
    Status status = migrate_in_transaction(connection, dialect);
    connection.run(status.ok() ? "COMMIT" : "ROLLBACK");
    return status;
  } catch (const std::exception& e) {
    return dialect.classify(e).error;
  }
}

}  // namespace quarry::catalog

#include "catalog/sql_connection.h"

#include <deque>

namespace quarry::catalog {

// SOCI binds addresses: parameters and results live here, in deques, which never move what they hold.
struct PreparedStatement {
  explicit PreparedStatement(soci::session& session) : statement(session) {}
  std::string sql;
  std::deque<std::string> text_parameters, texts;
  std::deque<long long> number_parameters, numbers;
  std::vector<std::variant<std::string*, long long*>> parameters;
  std::vector<const std::string*> text_columns;  // by column; null where the column is a number
  std::vector<const long long*> number_columns;
  soci::statement statement;
};

namespace {

constexpr size_t kMaxStatements = 256;

std::shared_ptr<PreparedStatement> prepare(soci::session& session, const std::string& sql, std::string_view columns,
                                           const SqlValues& parameters) {
  auto out = std::make_shared<PreparedStatement>(session);
  out->sql = sql;
  out->statement.alloc();
  for (const SqlValue& value : parameters) {
    if (std::holds_alternative<std::string>(value)) {
      out->parameters.emplace_back(&out->text_parameters.emplace_back());
      out->statement.exchange(soci::use(out->text_parameters.back()));
    } else {
      out->parameters.emplace_back(&out->number_parameters.emplace_back());
      out->statement.exchange(soci::use(out->number_parameters.back()));
    }
  }
  for (char column : columns) {
    bool is_text = column == 't';
    if (is_text) {
      out->statement.exchange(soci::into(out->texts.emplace_back()));
    } else {
      out->statement.exchange(soci::into(out->numbers.emplace_back()));
    }
    out->text_columns.push_back(is_text ? &out->texts.back() : nullptr);
    out->number_columns.push_back(is_text ? nullptr : &out->numbers.back());
  }
  out->statement.prepare(sql);
  out->statement.define_and_bind();
  return out;
}

}  // namespace

Rows::Rows(SqlConnection& connection, std::shared_ptr<PreparedStatement> statement)
    : connection_(&connection), statement_(std::move(statement)) {}

Rows::~Rows() {
  if (statement_ && !done_) connection_->forget(*statement_);
}

bool Rows::next() {
  if (!done_ && !statement_->statement.fetch()) done_ = true;
  return !done_;
}

const std::string& Rows::text(size_t column) const { return *statement_->text_columns[column]; }

long long Rows::number(size_t column) const { return *statement_->number_columns[column]; }

SqlConnection::SqlConnection(const soci::backend_factory& backend, const std::string& connect_string) : session_(backend, connect_string) {}

std::shared_ptr<PreparedStatement> SqlConnection::prepared(const std::string& sql, std::string_view columns, SqlValues parameters) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    if (statements_.size() >= kMaxStatements) statements_.clear();
    found = statements_.emplace(sql, prepare(session_, sql, columns, parameters)).first;
  }
  auto statement = found->second;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (auto* text = std::get_if<std::string*>(&statement->parameters[i])) {
      **text = std::move(std::get<std::string>(parameters[i]));
    } else {
      *std::get<long long*>(statement->parameters[i]) = std::get<long long>(parameters[i]);
    }
  }
  return statement;
}

Rows SqlConnection::query(const std::string& sql, std::string_view columns, SqlValues parameters) {
  auto statement = prepared(sql, columns, std::move(parameters));
  Rows rows(*this, statement);
  statement->statement.execute(false);
  return rows;
}

long long SqlConnection::execute(const std::string& sql, SqlValues parameters) {
  auto statement = prepared(sql, "", std::move(parameters));
  try {
    statement->statement.execute(true);
  } catch (...) {
    forget(*statement);
    throw;
  }
  return statement->statement.get_affected_rows();
}

void SqlConnection::run(const std::string& sql) { session_ << sql; }

void SqlConnection::forget(const PreparedStatement& statement) {
  auto found = statements_.find(statement.sql);
  if (found != statements_.end() && found->second.get() == &statement) statements_.erase(found);
}

}  // namespace quarry::catalog

// Closed-loop load on PostgreSQL through libpq: a prepared statement with one parameter, a connection and a thread per client.
// usage: bench-pg-load CONNECTION SET_UP_SQL QUERY_SQL CLIENTS SECONDS PARAMETERS_FILE REPLIES_OUT
// The file has a parameter a line; a reply is the first column of the rows, [1,2]; no rows are a reply too. Prints ClosedLoop::report().
#include <libpq-fe.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>

#include "closed_loop.h"

using quarry::bench::Clock;
using quarry::bench::ClosedLoop;

namespace {

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

struct Load {
  std::string connection, set_up, query;
  std::vector<std::string> parameters;
};

bool ready(PGconn* connection, const Load& load, ClosedLoop& loop) {
  if (PQstatus(connection) == CONNECTION_OK) {
    Answer set(PQexec(connection, load.set_up.c_str()), PQclear);
    Answer prepared(PQprepare(connection, "q", load.query.c_str(), 1, nullptr), PQclear);
    if (PQresultStatus(set.get()) == PGRES_COMMAND_OK && PQresultStatus(prepared.get()) == PGRES_COMMAND_OK) return true;
  }
  loop.failed(PQerrorMessage(connection));
  return false;
}

std::string first_column(const PGresult* answer) {
  std::string out = "[";
  for (int i = 0; i < PQntuples(answer); ++i) out.append(i ? "," : "").append(PQgetvalue(answer, i, 0));
  return out + "]";
}

void run_client(PGconn* connection, const Load& load, ClosedLoop& loop) {
  while (auto question = loop.next()) {
    const char* values[] = {load.parameters[*question].c_str()};
    Clock::time_point began = Clock::now();
    Answer answer(PQexecPrepared(connection, "q", 1, values, nullptr, nullptr, 0), PQclear);
    if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK) {
      loop.failed(PQerrorMessage(connection));
      if (PQstatus(connection) != CONNECTION_OK) return;
      continue;
    }
    loop.done(*question, began, first_column(answer.get()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return std::fprintf(stderr, "usage: bench-pg-load CONNECTION SET_UP_SQL QUERY_SQL CLIENTS SECONDS PARAMETERS REPLIES\n"), 2;
  Load load{argv[1], argv[2], argv[3], quarry::bench::read_lines(argv[6])};
  size_t clients = std::clamp<size_t>(std::strtoul(argv[4], nullptr, 10), 1, 256);
  std::vector<Connection> connections;
  ClosedLoop warm(0, 0);
  for (size_t i = 0; i < clients; ++i) {
    connections.emplace_back(PQconnectdb(load.connection.c_str()), PQfinish);
    if (!ready(connections.back().get(), load, warm)) return std::fprintf(stderr, "bench-pg-load: %s\n", warm.report().c_str()), 1;
  }
  ClosedLoop loop(load.parameters.size(), std::strtod(argv[5], nullptr));
  std::vector<std::thread> threads;
  for (Connection& connection : connections) threads.emplace_back([&] { run_client(connection.get(), load, loop); });
  for (std::thread& thread : threads) thread.join();
  std::puts(loop.report().c_str());
  return loop.write_replies(argv[7]) ? 0 : 1;
}

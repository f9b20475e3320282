#include <thread>

#include "main/config.h"

namespace quarry {

const std::vector<SettingInfo>& all_settings() {
  using enum SettingType;
  static const auto* settings = new std::vector<SettingInfo>{
      {"data", kPath, ".quarry/data", "data folder of the embedded server"},
      {"listen", kString, "127.0.0.1:8765", "HOST:PORT to serve on; port 0 takes any free one"},
      {"public_url", kString, "", "base of presigned URLs; empty: http://<listen>"},
      {"models", kPath, "", "folder of model folders; empty: found beside the program"},
      {"decoder", kPath, "", "the quarry-decode program; empty: found beside this program"},
      {"credentials", kPath, "", "credentials file of the client verbs; empty: .quarry/credentials.json, then the home folder's"},
      {"url", kString, "", "server that the client verbs talk to; empty: as in the credentials file"},
      {"api_key", kString, "", "key of the client verbs; on an empty data folder it becomes the bootstrap key"},
      {"namespace", kString, "", "namespace that the client verbs use; empty: as in the credentials file"},
      {"log.level", kString, "info", "debug, info, warn or error"},
      {"log.format", kString, "auto", "json, text, or auto: text on a terminal"},
      {"http.io_threads", kInteger, "2", "threads that read and write sockets"},
      {"http.handler_threads", kInteger, "16", "threads that run requests; as many of them compute at once as there are processors"},
      {"http.max_connections", kInteger, "4096", "open connections at most"},
      {"http.max_body_bytes", kBytes, "64MiB", "largest JSON body; 413 past it"},
      {"http.max_upload_bytes", kBytes, "512MiB", "largest uploaded file; 413 past it"},
      {"http.request_timeout_ms", kInteger, "300000", "deadline of one request"},
      {"urls.allow_private", kBoolean, "false", "let blobs come from URLs in private networks"},
      {"urls.max_bytes", kBytes, "512MiB", "largest file fetched from a URL"},
      {"urls.timeout_ms", kInteger, "60000", "time for one fetch"},
      {"model.precision", kString, "int8", "int8 or fp32 for the text model"},
      {"model.preload", kBoolean, "true", "load the text model while starting"},
      {"pipeline.threads", kInteger, "0", "objects extracted at the same time; 0: one per core"},
      {"pipeline.lease_ms", kInteger, "30000", "how long a silent worker keeps its task"},
      {"pipeline.commit_documents", kInteger, "512", "documents per commit while ingesting"},
      {"tiering.interval_ms", kInteger, "60000", "how often the collections' tiering rules are looked at; 0: this server obeys none"},
      {"tiering.query_flush_ms", kInteger, "10000",
       "how often times of queries are written: what a crash loses of them; 0: when the server stops"},
      {"snapshots.import_from", kString, "",
       "NAME=/FOLDER, NAME=s3://BUCKET/PREFIX, ...: where snapshots may be imported from, beside the server's own store"},
      {"snapshots.daily_days", kInteger, "0", "every namespace gets a snapshot a day, which is kept for so many days; 0: none"},
      {"snapshots.pre_delete_days", kInteger, "0",
       "deleting a namespace takes a snapshot of it first, which is kept for so many days; 0: it does not"},
      {"snapshots.interval_ms", kInteger, "600000", "how often daily and expired snapshots are looked for; 0: this server does neither"},
      {"mvs.memory_budget", kBytes, "0",
       "memory of collections; 0: no limit; past it those read longest ago are served cold, then writes answer 429"},
      {"mvs.cold_cache", kBytes, "64MiB", "memory for the cold collections read last; 0: each is read again for each request"},
      {"mvs.cold_timeout_ms", kInteger, "60000", "how long a read waits for a cold collection"},
      {"mvs.commit_window_us", kInteger, "2000", "how long a commit waits for company; with objects.url 100000 unless set"},
      {"mvs.follow_interval_ms", kInteger, "1000",
       "how often tables are looked at for other programs' commits; 0: never; with objects.url 30000 unless set"},
      {"mvs.retention_s", kInteger, "600",
       "how long log entries and files stay that only older versions of a table need: how far back other programs may read"},
      {"mvs.recall_probe_interval_ms", kInteger, "60000",
       "how often a vector query is asked again exactly, in the background, to measure what the index found; 0: never"},
      {"decode.processes", kInteger, "2", "decoder processes at most"},
      {"decode.timeout_ms", kInteger, "60000", "time for one file"},
      {"decode.memory_bytes", kBytes, "1GiB", "memory of one decoder process"},
      {"objects.url", kString, "", "s3://BUCKET/PREFIX for raw objects and tables; empty: in the data folder"},
      {"objects.endpoint", kString, "",
       "http(s)://HOST[:PORT] of the S3 store; empty: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, then Amazon's"},
      {"objects.region", kString, "", "region of the S3 store; empty: AWS_REGION, AWS_DEFAULT_REGION, then us-east-1"},
      {"objects.addressing", kString, "auto", "path (HOST/BUCKET), virtual (BUCKET.HOST), or auto: virtual at amazonaws.com"},
      {"objects.access_key_id", kString, "", "S3 credentials; empty: AWS_ACCESS_KEY_ID, then the credentials file"},
      {"objects.secret_access_key", kString, "", "goes with objects.access_key_id"},
      {"objects.session_token", kString, "", "of temporary credentials"},
      {"objects.profile", kString, "", "profile in the credentials file; empty: AWS_PROFILE, then default"},
      {"objects.credentials_file", kPath, "", "empty: AWS_SHARED_CREDENTIALS_FILE, then ~/.aws/credentials"},
      {"objects.ca_file", kPath, "", "certificate authorities (PEM) of the S3 store; empty: the system's"},
      {"objects.timeout_ms", kInteger, "30000", "how long a request to the S3 store may stand still"},
      {"objects.attempts", kInteger, "6", "how often a request to the S3 store that may pass is tried in all"},
      {"objects.connections", kInteger, "64", "requests to the S3 store at the same time"},
      {"objects.multipart_bytes", kBytes, "64MiB", "larger objects go to the S3 store in parts of 16 MiB"},
      {"objects.cache_bytes", kBytes, "4GiB", "disk for tables read from the S3 store, in the data folder; 0: no cache"},
      {"catalog.url", kString, "", "PostgreSQL connection string; empty: the SQLite file in the data folder"},
      {"stop.grace_ms", kInteger, "10000", "how long running requests may take after SIGTERM; 20 s later the process ends in any case"},
  };
  return *settings;
}

bool SettingInfo::is_secret() const {
  return key == "api_key" || key == "catalog.url" || key == "objects.access_key_id" || key == "objects.secret_access_key" ||
         key == "objects.session_token";
}

}  // namespace quarry

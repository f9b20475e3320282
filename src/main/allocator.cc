// Settings of jemalloc, which reads this name when the program starts: what was freed goes back to the system within seconds, by a thread of
// its own, so that memory falls after a burst of writes. glibc's arenas kept 2.7 times as much after 100,000 upserts (docs/decisions/0012).
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0";
}

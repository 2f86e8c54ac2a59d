/**
 * Imported before anything else: libuv reads this once, when the first of its threads is needed.
 *
 * Each sync of a file holds a thread: two for the journal's copies, two for artefacts, one or more for LevelDB. With the
 * four that are the default a vote waits for somebody else's disk write.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "8";

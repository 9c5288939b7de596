"""The names of all keys and channels that the queue uses in Redis.

All names of a queue have one hash tag, the part in braces, so that a cluster keeps them in one slot
and a script may use them all.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.job import DeliveryKind


@dataclass(frozen=True)
class Keys:
    """The names of one namespace, or of one of its shards. An id is appended to a prefix, also
    within Lua."""

    namespace: str
    shard: int | None = None
    """Number of a shard; None for what is not divided among shards."""

    @property
    def tag(self) -> str:
        """The hash tag, with which every name begins: `{anysr}`, or `{anysr:3}` of a shard."""
        shard = "" if self.shard is None else f":{self.shard}"
        return f"{{{self.namespace}{shard}}}"

    def _name(self, part: str) -> str:
        return f"{self.tag}:{part}"

    @property
    def pending(self) -> str:
        """Sorted set: ids of the waiting jobs, by latest start in ms."""
        return self._name("pending")

    def pending_of(self, client: str) -> str:
        """Return the name of the sorted set of a client's waiting jobs, by latest start in ms."""
        return f"{self.pending}@{client}"

    @property
    def leases(self) -> str:
        """Sorted set: ids of the running jobs, by the end of their lease in ms; and `id:token` of
        each run that was withdrawn or lost, until its worker has stopped it."""
        return self._name("leases")

    @property
    def ages(self) -> str:
        """Sorted set: ids of the waiting jobs, by the time of their submission in ms."""
        return self._name("ages")

    @property
    def entries(self) -> str:
        """Hash: `slot:cheapest:narrowest` of each waiting job, as it went into the sums; then
        `@client` if it has one, and in a line of its own its requirement."""
        return self._name("entries")

    @property
    def slots(self) -> str:
        """Sorted set: slots of latest start in which a job waits, by their beginning in ms."""
        return self._name("slots")

    @property
    def sums(self) -> str:
        """Hash: costs in µs of all waiting jobs (`cheapest`, `narrowest`) and of each slot
        (`cheapest:slot`, `narrowest:slot`), and its number of jobs (`jobs:slot`). The same of each
        client's jobs (`cheapest@client:slot`), and their number (`jobs@client`)."""
        return self._name("sums")

    @property
    def ends(self) -> str:
        """Sorted set: the runs of `leases`, by their predicted end in ms; until one is reported,
        by minus their cheapest cost."""
        return self._name("ends")

    @property
    def runs(self) -> str:
        """Hash: of each run of a job, when it must end in ms, and the cost of its narrowest network
        in ms, in one string. Every submission reads those of all runs, so they are in one place."""
        return self._name("runs")

    @property
    def demand(self) -> str:
        """Hash: recent arrivals while others waited: `work` in narrowest-network ms, `urgency`
        (work over its slack), the `time` for which others waited, and `at`, their moment."""
        return self._name("demand")

    @property
    def waits(self) -> str:
        """Hash: how many jobs of each requirement wait."""
        return self._name("waits")

    @property
    def wake(self) -> str:
        """Prefix of the lists on which idle workers block, each with at most one token."""
        return self._name("wake:")

    def wake_for(self, requirement: str) -> str:
        """Return the name of the list for workers that meet a requirement: a token while a job with
        it waits."""
        return f"{self.wake}for:{requirement}"

    @property
    def wake_any(self) -> str:
        """List for workers that meet all requirements: a token while any job waits."""
        return f"{self.wake}any"

    @property
    def wake_sweep(self) -> str:
        """List for all workers: a token while a claim should end or requeue something, whoever
        makes it."""
        return f"{self.wake}sweep"

    @property
    def swept(self) -> str:
        """String without content, which expires when a heartbeat should look after the queue
        again."""
        return self._name("swept")

    @property
    def tokens(self) -> str:
        """Counter: the last fencing token."""
        return self._name("tokens")

    @property
    def counts(self) -> str:
        """Hash: `redeliveries`, `dead_letters`, `worker_starts`, `stuck_workers`,
        `webhooks_delivered`, `webhook_failures`, `webhooks_dead`, `results_delivered`,
        `result_failures`, `results_dead`, and `batch_sources_` with the state in which a source has
        ended, since the queue began."""
        return self._name("counts")

    @property
    def durable(self) -> str:
        """String without content: a write that waits for the disk behind those before it."""
        return self._name("durable")

    @property
    def workers(self) -> str:
        """Sorted set: ids of the workers, by the moment in ms at which they cease to live if they
        send no heartbeat before."""
        return self._name("live-workers")

    @property
    def worker_states(self) -> str:
        """Hash: of each worker the last state (`jobs.heartbeat_parts`), after the moment in ms
        until which it counts and the digest of the profile, each with a colon."""
        return self._name("worker-states")

    @property
    def worker_profiles(self) -> str:
        """Hash: of each worker the profile (`jobs.heartbeat_parts`), by `profile_field`."""
        return self._name("worker-profiles")

    @property
    def capabilities(self) -> str:
        """Sorted set: capabilities of the live workers, by the moment of their expiry in ms."""
        return self._name("capabilities")

    @property
    def deliveries(self) -> str:
        """Prefix of sorted sets with the ids of ended jobs that have a delivery waiting, by when it
        is due in ms: one for each host (`deliveries:host`), and `waiting_deliveries`."""
        return self._name("deliveries")

    def deliveries_of(self, host: str) -> str:
        """Return the name of the sorted set of a host's deliveries."""
        return f"{self.deliveries}:{host}"

    def waiting_deliveries(self, kind: DeliveryKind) -> str:
        """Return the name of the sorted set of all deliveries of a kind that wait."""
        return f"{self.deliveries}-{kind}"

    @property
    def delivery_hosts(self) -> str:
        """Sorted set: hosts of the waiting deliveries, by when the first one is due in ms."""
        return self._name("delivery-hosts")

    @property
    def dead_deliveries(self) -> str:
        """Sorted set: ids of the jobs of which a delivery was given up, by that moment in ms."""
        return self._name("dead-deliveries")

    @property
    def delivery_wake(self) -> str:
        """List: at most one token, while a delivery is due; gateways block on it."""
        return self._name("delivery-wake")

    @property
    def active(self) -> str:
        """Sorted set: clients that sent a job lately, by when they cease to be active in ms."""
        return self._name("active-clients")

    @property
    def heads(self) -> str:
        """Sorted set: clients with waiting jobs, by the latest start of their first one in ms. The
        waiting jobs of each are in a sorted set like `pending` (`pending@client`)."""
        return self._name("client-heads")

    @property
    def shares(self) -> str:
        """Hash: `weights`, the sum over the active clients; and of each `weight@client`, its recent
        work in narrowest-network ms that came while others waited (`work@client`), the ms of its
        recent runs (`used@client`), and `at@client`, their moment."""
        return self._name("shares")

    @property
    def batches(self) -> str:
        """Sorted set: names of the batches that have not ended, by the end of their lease in ms."""
        return self._name("batches")

    def batch_items(self, batch_id: str) -> str:
        """Return the name of the list of a batch's sources (lua/shared/batches.lua)."""
        return self._name(f"batch-items:{batch_id}")

    def batch_urls(self, batch_id: str) -> str:
        """Return the name of the hash with the URLs to which pictures of a batch are put, by the
        index of their source, until that has ended: whoever knows one can write there."""
        return self._name(f"batch-urls:{batch_id}")

    @property
    def reloads(self) -> str:
        """Counter: requests that all gateways and workers read their models again."""
        return self._name("reloads")

    @property
    def requested_models(self) -> str:
        """Set: models that were requested and that workers load only on demand."""
        return self._name("requested-models")

    def gateway(self, gateway_id: str) -> str:
        """Return the channel with the ends of the jobs that one gateway has submitted
        (`jobs.job_event`)."""
        return self._name(f"gateway:{gateway_id}")

    @property
    def events(self) -> str:
        """Prefix of the channels of jobs and batches (`jobs.job_event`)."""
        return self._name("events:")

    @property
    def records(self) -> str:
        """Prefix of the hashes that hold the record of each job."""
        return self._name("job:")

    def record(self, job_id: str) -> str:
        """Return the name of a job's record."""
        return self.records + job_id

    def result_url(self, job_id: str) -> str:
        """Return the name of the expiring string with the URL to which a job's picture is put, as
        its caller gave it: whoever knows it can write there."""
        return f"{self.record(job_id)}:result-url"

    def end_of(self, name: str) -> str:
        """Return the channel with the end of a job or batch."""
        return f"{self.events}end:{name}"

    def changes_of(self, name: str) -> str:
        """Return the channel with the changes of a job or batch before its end."""
        return f"{self.events}change:{name}"

    def idempotency_key(self, digest: str) -> str:
        """Return the name of an idempotency key's hash: `fingerprint` of its first request, and
        `id` of that one's job."""
        return self._name(f"idempotency:{digest}")

    def client_counters(self, client: str) -> str:
        """Return the name of a client's counters, a hash (lua/shared/clients.lua)."""
        return self._name(f"client:{client}")

    def client_jobs(self, client: str) -> str:
        """Return the name of the set of jobs that were accepted from a client with a limit on them;
        ended ones may be in it."""
        return self._name(f"client-jobs:{client}")

    def charged(self, job_id: str) -> str:
        """Return the name of the expiring day for which a job of a divided queue was counted for
        its client (lua/charge.lua)."""
        return self._name(f"charged:{job_id}")

    @property
    def homes(self) -> str:
        """Counter: workers of a divided queue that have chosen their shard."""
        return self._name("homes")

    @property
    def cached_by_use(self) -> str:
        """Sorted set: names of the cached pictures (`jobs.cached_pictures`), by the moment of their
        last use in ms. All of the cache is on the server of the pictures."""
        return self._name("cached-by-use")

    @property
    def cached_by_expiry(self) -> str:
        """Sorted set: names of the cached pictures, by the moment of their expiry in ms."""
        return self._name("cached-by-expiry")

    @property
    def cached_sizes(self) -> str:
        """Hash: bytes of each cached picture, and of all (`total`)."""
        return self._name("cached-sizes")

    @property
    def cached_groups(self) -> str:
        """Prefix of the expiring hashes with the variants of each group: moment in ms, bytes and
        run facts."""
        return self._name("cached-group:")

    @property
    def cached_pictures(self) -> str:
        """Prefix of the expiring strings with the cached pictures."""
        return self._name("cached:")

    def link_validator(self, digest: str) -> str:
        """Return the name of the expiring entity tag of a link in one format."""
        return self._name(f"link:{digest}")

    def cached_group(self, group: str) -> str:
        """Return the name of a group's hash."""
        return self.cached_groups + group

    def cached_picture(self, name: str) -> str:
        """Return the name of a cached picture."""
        return self.cached_pictures + name

    @property
    def blobs_by_expiry(self) -> str:
        """Sorted set: names of the objects in the bucket of the pictures, by the moment from which
        they are deleted in ms (`jobs.blob_index`)."""
        return self._name("blobs-by-expiry")

    @property
    def blob_sizes(self) -> str:
        """Hash: bytes of each object in the bucket, and of all (`total`)."""
        return self._name("blob-sizes")

    def upload(self, upload_id: str) -> str:
        """Return the name of the expiring hash of an upload into the bucket
        (lua/take_upload.lua)."""
        return self._name(f"upload:{upload_id}")

    def open_uploads(self, owner: str) -> str:
        """Return the name of the sorted set of a client's uploads that no job has taken, by their
        expiry in ms."""
        return self._name(f"uploads:{owner}")

    @property
    def payloads(self) -> str:
        """Prefix of the expiring strings with the uploaded picture of each job."""
        return self._name("payload:")

    def payload(self, job_id: str) -> str:
        """Return the name of a job's uploaded picture."""
        return self.payloads + job_id

    def result(self, job_id: str, token: int) -> str:
        """Return the name of the result of one claim; no claim can touch the result of another."""
        return self._name(f"result:{job_id}:{token}")

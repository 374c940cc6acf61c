import { redisBinary } from "../test/fixtures/redis-server.ts";
import { redisPlaces } from "../test/fixtures/state/redis-places.ts";
import { describeReplicas } from "../test/state/replica-suite.ts";

/** Several servers on one Redis; on Valkey, Consul and Kubernetes: npm run test:integration. */

const binary = redisBinary();

describeReplicas("Replicas on Redis", () => redisPlaces(binary), "reason" in binary ? { skip: binary.reason } : {});

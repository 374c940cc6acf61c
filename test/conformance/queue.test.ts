import { queueHost } from "./queue-drivers.ts";
import { queueSuite } from "./queue-suite.ts";

queueSuite("host", queueHost);

import { hygiene } from "@howdah/testing/hygiene";
import { authzModule } from "../src/module.ts";

hygiene(authzModule, {
  ignore: [
    {
      rule: "row-security",
      object: "authz.tuples",
      reason: "a viewer sees and may leave what was granted to it in every namespace",
    },
  ],
});

import { hygiene } from "@howdah/testing/hygiene";
import * as functions from "../src/functions.ts";
import { authzModule } from "../src/module.ts";
import { rbacFunctions } from "../src/rbac.ts";

const except = (rule: string, object: string, reason: string) => ({ rule, object: `authz.${object}`, reason });

hygiene(authzModule, {
  clients: [...Object.values(functions), ...Object.values(rbacFunctions)],
  ignore: [
    except("row-security", "tuples", "a viewer sees and may leave what was granted to it in every namespace"),
    except(
      "row-security",
      "programs",
      "a compiled model is shown to the tenants that use it, of which it belongs to none",
    ),
    except("dynamic-sql", "install_program", "a program is code, which only administrators may install"),
    except("client-methods", "write", "for other languages: write_tuple does it too"),
    except("client-methods", "delete", "for other languages: delete_tuple does it too"),
    except("client-methods", "explain_text", "the command line calls it; its lines are for people"),
    except("client-methods", "model_hash", "for other languages: the compiler reckons it too"),
    except("client-methods", "create_audit_partition", "for operators: maintain does it too"),
    except("client-methods", "ensure_audit_partitions", "for operators: maintain does it too"),
    except("client-methods", "drop_audit_partitions", "for operators"),
  ],
});

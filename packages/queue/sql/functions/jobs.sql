-- Looking at jobs: one by its id, many by their state.
--
-- Each state has an index that hands out its jobs in a useful order; a page begins where the cursor
-- says and costs what it shows. A filter that no index serves (tags, a search, a queue where the
-- state's index does not begin with it) looks at 20,000 jobs in that order at most.

create or replace function queue.get_job(p_namespace text, p_job_id bigint)
returns setof queue.jobs
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  perform howdah.guard('queue', p_namespace);
  return query
  select j.* from queue.jobs j
  where j.namespace = v_namespace
    and j.id = p_job_id;
end
$$;

comment on function queue.get_job(text, bigint) is
'One job.

p_namespace  the tenant that owns the job
p_job_id     the job
Returns      its row; no row if it does not exist
Errors       queue.tenant_mismatch (42501)
Example      select status, attempts, error from queue.get_job(''acme'', 42);';

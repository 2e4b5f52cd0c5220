from tests.faults.test_kill_points import *
import time
def test_dbg(hub):
    s=hub.write(); t=time.time(); print(hub.submit(s), time.time()-t, hub.output.read_text()); t=time.time()
    print(hub.work("job.started:1"), time.time()-t, hub.output.read_text()); t=time.time()
    print(hub.work(), time.time()-t, hub.output.read_text()); 
    with hub.database.begin() as c:
        from hub.database import run_sql
        print(run_sql(c,"select id,status,attempts,lock,scheduled_at from jobs.procrastinate_jobs"), run_sql(c,"select state,refusal,received,accepted,held,refused from {d}.submission"))
    print(hub.damage())

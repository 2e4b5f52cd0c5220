from __future__ import annotations
import re, json
from litestar.testing import TestClient
import pytest
from tests.round_hub import *
from tests.doors import *
from tests.doors import founded_hub, Hub
from tests.desk_visits import visitor
from tests.matrix_hub import routes_of
from tests.decisions import read
from hub.database import new_uuid
MONTHS=["2026-13","0000-00","%2e%2e%2f","2026-11%00","9999-12","9999-99","２０２６-11","2026-11 ","'; DROP","{d}",":x","-1","2026-1","0001-01"]
BAD=['x'*3,"\x00","a\x00b","{","%s%(x)s",":x","'\";--","x"*20000,"=1+1","\ud7ff","9"*30,"-1","999999999999999999","2026-02-30","0000-00-00","01a20000-0000-7000-8000-000000000000","../../etc"]
@pytest.fixture
def hub(database, app_database, settings, catalogue):
    import msgspec
    settings=msgspec.structs.replace(settings, requests_per_minute=10_000_000)
    with founded_hub(database, app_database, settings, catalogue) as founded:
        move_people_in(founded, catalogue, 3)
        open_month(founded, catalogue)
        with founded.served.begin() as c:
            open_account(c,"op","bureau","bureau_operator")
        yield founded

def test_fuzz(hub, catalogue, monkeypatch):
    from hub.api import verdicts as V; from hub import jobs as J; monkeypatch.setattr(V,"_SECONDS",0.1); monkeypatch.setattr(J,"wait_until_final",lambda *a,**k:False)
    lines=items_of(hub)
    give(hub,catalogue,answer(lines[0],"3"))
    (ch,)=read(hub,"SELECT challenge_id FROM {d}.challenge")[0]
    from hub.registry.sessions import open_session
    bad=[]
    logins=read(hub,"SELECT login FROM admin.account") if 0 else None
    with TestClient(hub.app, base_url="https://hub.test", raise_server_exceptions=False) as client:
        with hub.served.begin() as c:
            print(run_sql(c,"SELECT login, organisation, roles FROM admin.account") if 0 else "")
        for login in ('qingxi','gongan','op'):
            try: v=visitor(hub,client,login)
            except Exception as e:
                print("no", login, e); continue
            st={}
            mine=[r for r in routes_of(hub.app) if not r.for_machines and re.match(r"/(rounds|challenges|rolls|balance|notices|contacts)", r.template)]
            for r in mine:
                fill={"month":THIS_MONTH,"item_id":lines[0]["item_id"],"challenge_id":ch,"act":"answer","roll_id":new_uuid(),"notice_id":new_uuid(),"contact_id":new_uuid()}
                def addr(**o): return re.sub(r"\{(\w+)(:\w+)?\}", lambda m:str({**fill,**o}.get(m[1], new_uuid())), r.template)
                tries=[]
                if "{month" in r.template: tries+=[(addr(month=m),None) for m in MONTHS]
                names=["month","village","state","only","sent","page","purpose","reason","area","figure","before","after","side","kind","field","code","numbers","overdue","q","done","key","count","limit","cursor","text","answer","outcome","save","verifier","method","verified_on","name","mail","phone","record_id","claimed","decision","items","sure","language","town"]
                if r.method=="GET":
                    for b in BAD:
                        for n in names[:24]:
                            tries.append((addr()+"?"+n+"="+__import__("urllib.parse",fromlist=["quote"]).quote(b),None))
                else:
                    for b in BAD[:12]:
                        form={n:b for n in names}|{"1-line":f"{lines[1]['record_id']}:0","1-result":"2","1-actual":b,"1-right_name":b,"1-right_id_no":b,"1-right_date":b,"1-to_town":b,"1-right_village":b}
                        tries.append((addr(),form))
                        tries.append((addr(),form|{"verifier":"万和","method":"1","verified_on":"2026-11-02","1-right_date":"","1-right_village":"","1-to_town":"","save":"all"}))
                        tries.append((addr(),{k:b for k in ("1-line","2-result","x-line","-line","1-answers","99999999999999999999-line")}))
                        for a in ("answer","insist","close","withdraw"):
                            if "challenge" in r.template: tries.append((addr(act=a),{"answer":"stands","outcome":"stands","text":"查过了的"+b,"reason":"查过了的"+b}))
                for path,form in tries:
                    ans = v.get(path) if form is None else v.post(path, **form)
                    st[(r.method,r.template,ans.status_code)]=st.get((r.method,r.template,ans.status_code),0)+1
                    if ans.status_code>=500: bad.append((login,r.method,path[:150],ans.status_code, ans.text[-300:] if 0 else "")); 
            print(login,len(mine),st)
        # api
        for org in ("999001001","public_security"):
            from hub.registry.api_keys import issue_key
            from hub.registry.machine_identity import rights_a_key_may_have
            from hub.registry.organisations import load_organisation
            from hub.registry.permissions import SYSTEM_ACTOR
            with hub.served.begin() as c:
                kind=load_organisation(c,org).kind
                k=issue_key(c, SYSTEM_ACTOR, organisation=org, title="x", scopes=rights_a_key_may_have(load_organisation(c,org))).text
            h={"Authorization":f"Bearer {k}"}
            client.cookies.clear()
            statuses={}
            for r in [r for r in routes_of(hub.app) if r.for_machines and re.match(r"/v1/(rounds|challenges|rolls|balance|notices)", r.template)]:
                fill={"month":THIS_MONTH,"challenge_id":ch,"act":"answer","roll_id":new_uuid()}
                def addr(**o): return re.sub(r"\{(\w+)(:\w+)?\}", lambda m:str({**fill,**o}.get(m[1], new_uuid())), r.template)
                if r.method=="GET":
                    for p in ([addr(month=m) for m in MONTHS] if "{month" in r.template else [])+[addr()+"?"+n+"="+__import__("urllib.parse",fromlist=["quote"]).quote(b) for b in BAD for n in ("village","state","cursor","limit","side","month","overdue","kind","before","purpose","reason","area","figure","unread")]:
                        a=client.get(p,headers=h); statuses[(r.template,a.status_code)]=statuses.get((r.template,a.status_code),0)+1
                        if a.status_code>=500: bad.append((org,r.method,p[:150],a.status_code))
                else:
                    bodies=[b'{"answers":[{"record_id":"%s","answers":0,"result":"2","actual":"a\\u0000b"}]}'%str(lines[1]["record_id"]).encode(), b'{"answers":[{"record_id":"%s","answers":-5,"result":"2","actual":"ab"}]}'%str(lines[2]["record_id"]).encode(), b'{"answers":[{"record_id":"%s","answers":99999999999,"result":"2","actual":"ab"}]}'%str(lines[2]["record_id"]).encode(),b'\xff',b'[]',b'null',b'{"answers":null}',b'{}',b'{"answer":"stands","outcome":"stands","text":"\\u0000abcde","reason":"\\u0000abcdef"}',b'{"record_id":"%s","kind":"value","field":"name","claimed":"a\\u0000b","reason":"abcdef"}'%str(lines[1]["record_id"]).encode(), b'{"answers":[{"record_id":"x","answers":0,"result":"2","actual":"\\ud800"}]}']
                    for n,b in enumerate(bodies):
                        for p in [addr()]+([addr(act=a) for a in ("answer","insist","close","x")] if "challenge" in r.template else [])+([addr(month="2026-13"),addr(month="%00")] if "{month" in r.template else []):
                            a=client.request(r.method,p,content=b,headers={**h,"Content-Type":"application/json","Idempotency-Key":str(new_uuid())})
                            statuses[(r.template,a.status_code)]=statuses.get((r.template,a.status_code),0)+1
                            if a.status_code>=500: bad.append((org,r.method,p[:100],a.status_code,n))
            print(statuses)
    seen={}
    for b in bad: seen.setdefault(re.sub(r"[0-9a-f-]{36}","ID",str(b[1:3]))[:140],b)
    for k,b in list(seen.items())[:80]: print("BAD",k,b)
    assert not bad

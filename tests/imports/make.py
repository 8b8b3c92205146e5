#!/usr/bin/env python3
"""Writes the folders of other clients that the tests of `waxwing import` read.

The formats are those of each client, the content is made up, and the keys are made here and used for
nothing else. Needs `openssl`. Run it in this folder; what is there is written anew:

    python3 make.py
"""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path(tempfile.mkdtemp())


def run(*words, data=None):
    return subprocess.run(words, input=data, check=True, capture_output=True, cwd=WORK).stdout


def write(path, text, mode=None):
    path = HERE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    if mode:
        path.chmod(mode)


def key(kind):
    """A private key as PEM of the kind that OpenSSL writes (PKCS#8)."""
    if kind.startswith("rsa"):
        words = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{kind[3:]}"]
    else:
        words = ["EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
    return run("openssl", "genpkey", "-algorithm", *words).decode()


def traditional(pem):
    """The same as PKCS#1 or SEC1."""
    return run("openssl", "pkey", "-traditional", data=pem.encode()).decode()


def numbers(pem):
    """The numbers of a key, by the words of `openssl pkey -text`."""
    text = run("openssl", "pkey", "-noout", "-text", data=pem.encode()).decode()
    found, name = {}, None
    for line in text.splitlines():
        head = re.match(r"^([A-Za-z0-9]+):\s*(.*)$", line)
        if head:
            name = head.group(1)
            value = re.match(r"^(\d+) \(0x([0-9a-f]+)\)$", head.group(2))
            found[name] = format(int(value.group(1)), "x") if value else ""
        elif name and line.startswith("    "):
            found[name] += line.strip().replace(":", "")
    even = lambda text: text if len(text) % 2 == 0 else "0" + text
    return {name: bytes.fromhex(even(text)) for name, text in found.items() if re.fullmatch(r"[0-9a-f]*", text)}


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def plain64(data):
    return base64.b64encode(data).decode()


RSA = [("n", "modulus"), ("e", "publicExponent"), ("d", "privateExponent"), ("p", "prime1"),
       ("q", "prime2"), ("dp", "exponent1"), ("dq", "exponent2"), ("qi", "coefficient")]


def jwk(pem):
    found = numbers(pem)
    if "modulus" in found:
        body = {short: url64(found[long].lstrip(b"\0")) for short, long in RSA}
        return json.dumps({**body, "kty": "RSA"})
    point = found["pub"][1:]
    half = len(point) // 2
    body = {"d": url64(found["priv"][-half:]), "x": url64(point[:half]), "y": url64(point[half:])}
    return json.dumps({**body, "crv": "P-256" if half == 32 else "P-384", "kty": "EC"})


def signer(pem):
    """The account key of the clients of Windows."""
    found = numbers(pem)
    if "modulus" in found:
        names = ["Modulus", "Exponent", "D", "P", "Q", "DP", "DQ", "InverseQ"]
        parts = "".join(f"<{name}>{plain64(found[long].lstrip(bytes(1)))}</{name}>"
                        for name, (_, long) in zip(names, RSA))
        return json.dumps({"KeyType": "RS256", "KeyExport": f"<RSAKeyValue>{parts}</RSAKeyValue>"})
    point = found["pub"][1:]
    half = len(point) // 2
    export = {"HashSize": 256, "D": plain64(found["priv"][-half:]), "X": plain64(point[:half]),
              "Y": plain64(point[half:])}
    return json.dumps({"KeyType": "ES256", "KeyExport": json.dumps(export)})


class Authority:
    """A CA with a root and an intermediate whose certificates last for a century."""

    def __init__(self):
        self.root_key, self.key = key("P-256"), key("P-256")
        (WORK / "root.key").write_text(self.root_key)
        (WORK / "mid.key").write_text(self.key)
        run("openssl", "req", "-x509", "-new", "-key", "root.key", "-subj", "/CN=Made Up Root",
            "-days", "36500", "-out", "root.pem")
        run("openssl", "req", "-new", "-key", "mid.key", "-subj", "/CN=Made Up Issuer", "-out", "mid.csr")
        (WORK / "mid.ext").write_text("basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n")
        run("openssl", "x509", "-req", "-in", "mid.csr", "-CA", "root.pem", "-CAkey", "root.key",
            "-days", "36500", "-extfile", "mid.ext", "-out", "mid.pem")
        self.chain = (WORK / "mid.pem").read_text()

    def leaf(self, pem, names):
        (WORK / "leaf.key").write_text(pem)
        run("openssl", "req", "-new", "-key", "leaf.key", "-subj", "/", "-out", "leaf.csr")
        names = ",".join(f"DNS:{name}" for name in names)
        (WORK / "leaf.ext").write_text(
            f"subjectAltName={names}\nbasicConstraints=CA:false\nauthorityKeyIdentifier=keyid\n")
        run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "mid.pem", "-CAkey", "mid.key",
            "-days", "36000",
            "-extfile", "leaf.ext", "-out", "leaf.pem")
        return (WORK / "leaf.pem").read_text()


CA = Authority()
LE = "acme-v02.api.letsencrypt.org"


def certbot():
    def lineage(name, names, options, kind="P-256", top="version = 2.9.0"):
        pem = key(kind)
        leaf = CA.leaf(pem, names)
        files = {"cert": leaf, "chain": CA.chain, "fullchain": leaf + CA.chain, "privkey": pem}
        lines = [top, f"archive_dir = /etc/letsencrypt/archive/{name}"]
        for file, text in files.items():
            write(f"certbot/archive/{name}/{file}2.pem", text)
            link = HERE / f"certbot/live/{name}/{file}.pem"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(f"../../archive/{name}/{file}2.pem")
            lines.append(f"{file} = /etc/letsencrypt/live/{name}/{file}.pem")
        lines += ["", "# Options used in the renewal process", "[renewalparams]", *options, ""]
        write(f"certbot/renewal/{name}.conf", "\n".join(lines))

    account = "0123456789abcdef0123456789abcdef"
    common = [f"account = {account}", f"server = https://{LE}/directory"]
    lineage("shop.example.com", ["shop.example.com", "*.shop.example.com"],
            common + ["authenticator = dns-cloudflare",
                      "dns_cloudflare_credentials = /etc/letsencrypt/cloudflare.ini",
                      "key_type = ecdsa", 'renew_hook = "systemctl reload nginx"',
                      "preferred_chain = ISRG Root X1"])
    lineage("mail.example.com", ["mail.example.com"],
            common + ["authenticator = dns-dnsmadeeasy",
                      "dns_dnsmadeeasy_credentials = /etc/letsencrypt/dme.ini",
                      "key_type = rsa", "rsa_key_size = 4096", "reuse_key = True",
                      "post_hook = systemctl reload postfix"], "rsa2048")
    lineage("blog.example.com", ["blog.example.com"],
            common + ["authenticator = webroot", "webroot_path = /var/www/blog,",
                      "post_hook = systemctl start apache2", "key_type = ecdsa",
                      "[[webroot_map]]", "blog.example.com = /var/www/blog"])
    write("certbot/cli.ini", "# for every start\nagree-tos\nemail = ops@example.com\n")
    write("certbot/cloudflare.ini", "# token of the zone\ndns_cloudflare_api_token = made-up-cloudflare-token\n")
    write("certbot/dme.ini", "dns_dnsmadeeasy_api_key = made-up-api-key\n"
                             "dns_dnsmadeeasy_secret_key = made-up-secret-key\n")
    place = f"certbot/accounts/{LE}/directory/{account}"
    write(f"{place}/private_key.json", jwk(key("rsa2048")))
    write(f"{place}/regr.json", json.dumps({"body": {}, "uri": f"https://{LE}/acme/acct/1234567"}))
    write(f"{place}/meta.json", json.dumps({"creation_dt": "2026-03-01T10:00:00Z",
                                            "creation_host": "web01", "register_to_eff": None}))


def b64(text):
    return f"__ACME_BASE64__START_{plain64(text.encode())}__ACME_BASE64__END_"


def acme_sh():
    write("acme.sh/account.conf", "\n".join([
        "LOG_FILE='/root/.acme.sh/acme.sh.log'", "#LOG_LEVEL=1", "",
        "ACCOUNT_EMAIL='ops@example.com'", "UPGRADE_HASH='0123'", "USER_PATH='/usr/bin:/bin'",
        "SAVED_CF_Token='made-up-cf-token'", "SAVED_CF_Account_ID=''",
        "ME_Key='made-up-me-key'", "ME_Secret='made-up-me-secret'", ""]))

    def domain(name, alt, values, kind, folder=None):
        folder = folder or name
        pem = key(kind)
        leaf = CA.leaf(pem, [name] + alt)
        lines = [f"Le_Domain='{name}'", f"Le_Alt='{','.join(alt) or 'no'}'", "Le_PreHook=''",
                 "Le_PostHook=''", "Le_RenewHook=''", *values,
                 f"Le_LinkCert='https://acme.zerossl.com/v2/DV90/cert/made-up'",
                 "Le_CertCreateTime='1788220800'", "Le_NextRenewTime='1793318400'", ""]
        write(f"acme.sh/{folder}/{name}.conf", "\n".join(lines))
        write(f"acme.sh/{folder}/{name}.key", traditional(pem))
        write(f"acme.sh/{folder}/{name}.cer", leaf)
        write(f"acme.sh/{folder}/ca.cer", CA.chain)
        write(f"acme.sh/{folder}/fullchain.cer", leaf + CA.chain)

    zerossl = "Le_API='https://acme.zerossl.com/v2/DV90'"
    domain("shop.example.com", ["*.shop.example.com"],
           ["Le_Webroot='dns_cf'", zerossl, "Le_Keylength='ec-256'",
            "Le_RealCertPath=''", "Le_RealCACertPath=''",
            "Le_RealKeyPath='/etc/nginx/tls/shop.example.com.key'",
            f"Le_ReloadCmd='{b64('/bin/sh -c true')}'",
            "Le_RealFullChainPath='/etc/nginx/tls/shop.example.com.crt'"],
           "P-256", "shop.example.com_ecc")
    domain("mail.example.com", [],
           ["Le_Webroot='dns_me'", zerossl, "Le_Keylength='2048'", "Le_RenewalDays='40'",
            f"Le_Preferred_Chain='{b64('USERTrust RSA')}'",
            "Le_DeployHook='docker,'",
            "Le_RealCertPath=''", "Le_RealCACertPath=''",
            "Le_RealKeyPath='/etc/ssl/private/mail.example.com.key'", "Le_ReloadCmd=''",
            "Le_RealFullChainPath='/etc/ssl/certs/mail.example.com.pem'"], "rsa2048")
    domain("api.example.com", [],
           ["Le_Webroot='no'", "Le_API='https://ca.internal.example/acme/acme/directory'",
            "Le_Keylength=''"], "P-256")
    place = "acme.sh/ca/acme.zerossl.com/v2/DV90"
    write(f"{place}/account.key", traditional(key("P-256")))
    write(f"{place}/account.json", json.dumps({"status": "valid", "contact": ["mailto:ops@example.com"]}))
    write(f"{place}/ca.conf", "\n".join([
        "CA_EAB_KEY_ID='made-up-key-id'", "CA_EAB_HMAC_KEY='bWFkZS11cC1obWFjLWtleQ'",
        "CA_EMAIL='ops@example.com'",
        "ACCOUNT_URL='https://acme.zerossl.com/v2/DV90/account/made-up'", "CA_KEY_HASH='x='", ""]))


def lego():
    place = f"lego/accounts/{LE}/ops@example.com"
    body = {"status": "valid", "contact": ["mailto:ops@example.com"]}
    write(f"{place}/account.json", json.dumps(
        {"email": "ops@example.com",
         "registration": {"body": body, "uri": f"https://{LE}/acme/acct/7654321"}}, indent="\t"))
    write(f"{place}/keys/ops@example.com.key", traditional(key("P-256")))

    def certificate(file, names):
        pem = key("P-256")
        leaf = CA.leaf(pem, names)
        write(f"lego/certificates/{file}.json", json.dumps(
            {"domain": names[0], "certUrl": f"https://{LE}/acme/cert/made-up",
             "certStableUrl": f"https://{LE}/acme/cert/made-up"}, indent="\t"))
        write(f"lego/certificates/{file}.crt", leaf + CA.chain)
        write(f"lego/certificates/{file}.issuer.crt", CA.chain)
        write(f"lego/certificates/{file}.key", traditional(pem))

    certificate("www.example.com", ["www.example.com", "example.com"])
    certificate("_.apps.example.com", ["*.apps.example.com"])


def lego_5():
    server = "https://acme.zerossl.com/v2/DV90"
    place = "lego-5/accounts/acme.zerossl.com/main"
    write(f"{place}/account.json", json.dumps(
        {"id": "main", "email": "ops@example.com", "keyType": "EC256", "server": server,
         "registration": {"status": "valid", "contact": ["mailto:ops@example.com"],
                          "accountURL": f"{server}/account/made-up"}}, indent="\t"))
    write(f"{place}/main.key", key("P-256"))
    pem = key("P-384")
    leaf = CA.leaf(pem, ["www.example.com"])
    write("lego-5/certificates/www.example.com.json", json.dumps(
        {"id": "www.example.com", "domains": ["www.example.com"], "keyType": "EC384",
         "certUrl": f"{server}/cert/made-up"}, indent="\t"))
    write("lego-5/certificates/www.example.com.crt", leaf)
    write("lego-5/certificates/www.example.com.issuer.crt", CA.chain)
    write("lego-5/certificates/www.example.com.key", pem)


MANUAL = "e239db3b-b42f-48aa-b64f-46d4f3e9941b"
RSA_CSR, EC_CSR = "b9060d4b-c2d3-49ac-b37f-962e7c3cbe9d", "9aadcf71-5241-4c4f-aee1-bfe3f6be3489"
PEM_FILES = "e57c70e4-cd60-4ba6-80f6-a41703e21031"
STORE = "e30adc8e-d756-4e16-a6f2-450f784b1a97"
IIS = "ea6a5be3-f8de-4d27-a6bd-750b619b2ee2"
SCRIPT = "3bb22c70-358d-4251-86bd-11858363d913"
NULL = "aecc502c-5f75-43d2-b578-f95d50c79ea1"
DME = "13993334-2d74-4ff6-801b-833b99bf231d"
CLOUDFLARE = "73af2c2e-4cf1-4198-a4c8-1129003cfb75"
SELF_HOSTING = "c7d5e050-9363-4ba1-b3a8-931b31c618b7"


def pfx(names, password, kind="rsa2048"):
    pem = key(kind)
    leaf = CA.leaf(pem, names)
    (WORK / "leaf.key").write_text(pem)
    (WORK / "leaf.pem").write_text(leaf)
    return run("openssl", "pkcs12", "-export", "-inkey", "leaf.key", "-in", "leaf.pem",
               "-certfile", "mid.pem", "-passout", f"pass:{password}", "-name", names[0])


def renewal(path, id, names, validation, stores, installs, more, csr=EC_CSR):
    body = {"Id": id, "LastFriendlyName": f"[Manual] {names[0]}",
            "PfxPasswordProtected": plain64(b"made-up-pfx-password"),
            "TargetPluginOptions": {"CommonName": names[0], "AlternativeNames": names, "Plugin": MANUAL},
            "ValidationPluginOptions": validation,
            "CsrPluginOptions": {"Plugin": csr},
            "OrderPluginOptions": {"Plugin": "b705fa7c-1152-4436-8913-e433d7f84c82"},
            "StorePluginOptions": stores, "InstallationPluginOptions": installs,
            "History": [{"Date": "2026-09-01T02:37:00Z", "Success": True, "OrderResults": [
                {"Name": "main", "Success": True, "Thumbprint": "0" * 40}]}], **more}
    write(f"{path}/{id}.renewal.json", "\ufeff" + json.dumps(body, indent=2))


def simple_acme():
    place = "simple-acme/acme.zerossl.comv2DV90directory"
    write("simple-acme/settings.json", json.dumps(
        {"ScheduledTask": {"RenewalDays": 55}, "Csr": {"Ec": {"CurveName": "secp384r1"}},
         "Notification": {"Email": {"SmtpServer": "mx.example.com"}}}, indent=2))
    more = {"$schema": "https://simple-acme.com/schema/renewal.json",
            "EndPoint": "https://acme.zerossl.com/v2/DV90/directory"}
    renewal(place, "Ab1", ["intranet.example.com", "www.intranet.example.com"],
            {"ApiKey": plain64(b"made-up-api-key"), "ApiSecret": plain64(b"made-up-secret-key"), "Plugin": DME},
            [{"Path": "C:\\pem", "Plugin": PEM_FILES}],
            [{"Script": "C:\\scripts\\reload.ps1", "ScriptParameters": "'{CertThumbprint}' '{StorePath}'",
              "Plugin": SCRIPT}], more)
    renewal(place, "Cd2", ["shop.example.com"],
            {"ApiKey": "enc-AQAAANCMnd8BFdERjHoAwE", "ApiSecret": "vault://json/dme", "Plugin": "DnsMadeEasy"},
            [{"StoreName": "WebHosting", "Plugin": "CertificateStore"}],
            [{"Plugin": "IIS"}], more, "rsa")
    write(f"{place}/Certificates/Ab1-main-0a1b2c-temp.pfx",
          pfx(["intranet.example.com", "www.intranet.example.com"], "made-up-pfx-password", "P-384"))
    write(f"{place}/Signer_v2", plain64(signer(key("P-256")).encode()))
    write(f"{place}/Registration_v2", json.dumps(
        {"Payload": {"contact": ["mailto:ops@example.com"], "status": "valid"},
         "Kid": "https://acme.zerossl.com/v2/DV90/account/made-up", "TosLink": "https://zerossl.com/terms/"}))


def win_acme():
    place = f"win-acme/{LE}"
    renewal(place, "xY9", ["www.example.com"],
            {"ApiToken": "clear-made-up-cloudflare-token", "Plugin": CLOUDFLARE},
            [{"Plugin": STORE}], [{"Plugin": NULL}], {}, RSA_CSR)
    renewal(place, "zZ8", ["old.example.com"], {"Plugin": SELF_HOSTING},
            [{"Plugin": STORE}], [{"Plugin": IIS}], {}, RSA_CSR)
    write(f"{place}/Certificates/xY9-cache.pfx", pfx(["www.example.com"], "made-up-pfx-password"))
    write(f"{place}/Signer_v2", signer(key("rsa2048")))
    write(f"{place}/Registration_v2", json.dumps(
        {"Payload": {"contact": ["mailto:ops@example.com"]}, "Kid": f"https://{LE}/acme/acct/42"}))


def broken():
    write("broken-certbot/renewal/good.example.com.conf",
          "cert = /etc/letsencrypt/live/good.example.com/cert.pem\n[renewalparams]\n"
          "authenticator = dns-cloudflare\ndns_cloudflare_credentials = /nowhere/cloudflare.ini\n"
          f"server = https://{LE}/directory\nkey_type = ecdsa\n")
    pem, other = key("P-256"), key("P-256")
    write("broken-certbot/archive/good.example.com/fullchain1.pem", CA.leaf(pem, ["good.example.com"]) + CA.chain)
    write("broken-certbot/archive/good.example.com/privkey1.pem", other)
    write("broken-certbot/renewal/bad.example.com.conf", "[renewalparams\nthis is no line of it\n")
    place = f"broken-certbot/accounts/{LE}/directory/aa"
    write(f"{place}/private_key.json", json.dumps({"kty": "OKP", "crv": "Ed25519", "d": "AA", "x": "AA"}))
    write(f"{place}/regr.json", "{}")


FOLDERS = [certbot, acme_sh, lego, lego_5, simple_acme, win_acme, broken]
for name in ["certbot", "acme.sh", "lego", "lego-5", "simple-acme", "win-acme", "broken-certbot"]:
    shutil.rmtree(HERE / name, ignore_errors=True)
for make in FOLDERS:
    make()
shutil.rmtree(WORK)

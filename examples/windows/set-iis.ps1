# Puts a renewed certificate into the store of this machine and binds it to every IIS site that had the
# previous one. `examples/configs/windows-iis.toml` runs it behind each renewal:
#
#   powershell.exe -NoProfile -NonInteractive -File C:\ProgramData\Waxwing\set-iis.ps1 {path:pfx} {sha1} {previous-sha1}
#
# The password of the PFX file is the first line of the standard input. It is never an argument, because
# those can be seen by every user of the machine. Without -NonInteractive a missing argument would be asked
# for, and the password taken for the answer.
#
# Keep it where administrators alone can write: it runs as SYSTEM. It needs Windows PowerShell 5.1 and the
# IIS module WebAdministration. Running it again changes nothing. Bindings of the Central Certificate
# Store have no thumbprint and are left alone, and so are certificates that nobody uses any more.
[CmdletBinding()]
param(
    # The PFX file that was written.
    [Parameter(Mandatory, Position = 0)][string] $Pfx,
    # The thumbprint of the certificate in it.
    [Parameter(Mandatory, Position = 1)][ValidatePattern('^[0-9a-fA-F]{40}$')][string] $Sha1,
    # The thumbprint of the one before it; empty if there was none.
    [Parameter(Position = 2)][AllowEmptyString()][ValidatePattern('^([0-9a-fA-F]{40})?$')]
    [string] $PreviousSha1 = ''
)

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

try {
    # A script that speaks of the automatic variable for input has its input read by PowerShell itself; this
    # one has not.
    $line = [Console]::In.ReadLine()
    $password = New-Object System.Security.SecureString
    foreach ($character in ([string] $line).ToCharArray()) { $password.AppendChar($character) }
    $line = $null

    $folder = 'Cert:\LocalMachine\My'
    if (-not (Test-Path -LiteralPath "$folder\$Sha1")) {
        # Not exportable: whoever needs the key has the files of Waxwing.
        Import-PfxCertificate -FilePath $Pfx -CertStoreLocation $folder -Password $password | Out-Null
    }
    if (-not (Test-Path -LiteralPath "$folder\$Sha1")) {
        throw "$Pfx holds another certificate than $Sha1"
    }

    Import-Module WebAdministration
    $bound = 0
    $had = 0
    foreach ($binding in @(Get-WebBinding -Protocol https)) {
        if ($binding.certificateHash -eq $Sha1) { $had += 1 }
        if ($PreviousSha1 -eq '' -or $binding.certificateHash -ne $PreviousSha1) { continue }
        $binding.AddSslCertificate($Sha1, 'My')
        $bound += 1
    }
    # Waxwing writes it to its log.
    if ($bound + $had -eq 0) {
        "Imported. No site had the certificate before it: bind $Sha1 once in the IIS manager."
        exit 0
    }
    "Imported, and bound in $bound places that had $PreviousSha1; $had had it already."
    exit 0
}
catch {
    # The message is what Waxwing shows; the exit code is what it goes by.
    [Console]::Error.WriteLine("set-iis.ps1: $($_.Exception.Message)")
    exit 1
}

@echo off
rem Runs once, at the first logon of a new image, from the payload disk. It says on COM1 what it does, and what failed.
setlocal
set here=%~dp0
set log=%SystemDrive%\dmus-setup.log
mode COM1: BAUD=115200 PARITY=N DATA=8 STOP=1 >nul
call :say begin
set step=secure-boot
reg query HKLM\SYSTEM\CurrentControlSet\Control\SecureBoot\State /v UEFISecureBootEnabled 2>nul | find "0x1" >nul && goto :failed

{{certificates}}
set step=test-signing
call :say step test-signing
bcdedit /set testsigning on >>"%log%" 2>&1 || goto :failed

set step=driver
call :say step driver
{{pnputil}} >>"%log%" 2>&1
rem 259: no device of this machine needs it now. 3010: it wants a restart, which follows.
if not %errorlevel%==0 if not %errorlevel%==259 if not %errorlevel%==3010 goto :failed

set step=agent
call :say step agent
if not exist "%SystemDrive%\dmus" mkdir "%SystemDrive%\dmus"
copy /y "%here%dmus-agent.exe" "%SystemDrive%\dmus\dmus-agent.exe" >>"%log%" 2>&1 || goto :failed
rem --install starts the service too, which takes COM1 for itself: what follows is said there once it has stopped. It starts again with the system.
"%SystemDrive%\dmus\dmus-agent.exe" --install >>"%log%" 2>&1 || goto :failed
net stop dmus-agent >>"%log%" 2>&1 || goto :failed

set step=quiet
call :say step quiet
reg add HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU /v NoAutoUpdate /t REG_DWORD /d 1 /f >>"%log%" 2>&1 || goto :failed
sc config wuauserv start= disabled >>"%log%" 2>&1 || goto :failed
reg add "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power" /v HiberbootEnabled /t REG_DWORD /d 0 /f >>"%log%" 2>&1 || goto :failed
powercfg -change -monitor-timeout-ac 0 >>"%log%" 2>&1 || goto :failed
powercfg -change -standby-timeout-ac 0 >>"%log%" 2>&1 || goto :failed
rem A machine without a battery may have no hibernation to turn off.
powercfg -h off >>"%log%" 2>&1

set step=crash-control
call :say step crash-control
reg add HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v AutoReboot /t REG_DWORD /d 0 /f >>"%log%" 2>&1 || goto :failed
reg add HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v CrashDumpEnabled /t REG_DWORD /d 3 /f >>"%log%" 2>&1 || goto :failed

call :say done
shutdown /r /t 0 /f
exit /b 0

:failed
call :say failed %step% %errorlevel%
exit /b 1

:say
echo dmus-setup: %*>\\.\COM1
exit /b 0
